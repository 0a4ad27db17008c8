"""The port of agents is implemented."""

import pytest

from billing_server.domain.ports.agents import AgentRepository
from billing_server.store.agent_repository import SqlAgentRepository
from tests.billing_server.domain.ports.conformance import differences


@pytest.mark.parametrize(
    ("port", "implementation"),
    [(AgentRepository, SqlAgentRepository)],
)
def test_the_repository_has_every_method_of_its_port(port: type, implementation: type) -> None:
    assert differences(port, implementation) == []
