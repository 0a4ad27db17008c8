"""The port of usage is implemented."""

import pytest

from billing_server.domain.ports.usage import UsageRepository
from billing_server.store.usage_repository import SqlUsageRepository
from tests.billing_server.domain.ports.conformance import differences


@pytest.mark.parametrize(
    ("port", "implementation"),
    [(UsageRepository, SqlUsageRepository)],
)
def test_the_repository_has_every_method_of_its_port(port: type, implementation: type) -> None:
    assert differences(port, implementation) == []
