"""The unit of work and the store are implemented."""

import pytest

from billing_server.domain.ports.unit_of_work import Store, UnitOfWork
from billing_server.store.unit_of_work import SqlStore, SqlUnitOfWork
from tests.billing_server.domain.ports.conformance import differences


@pytest.mark.parametrize(
    ("port", "implementation"),
    [(UnitOfWork, SqlUnitOfWork), (Store, SqlStore)],
)
def test_the_repository_has_every_method_of_its_port(port: type, implementation: type) -> None:
    assert differences(port, implementation) == []


def test_the_unit_of_work_reaches_every_repository_of_its_port() -> None:
    wanted = {name for name, value in vars(UnitOfWork).items() if isinstance(value, property)}
    assert wanted <= set(dir(SqlUnitOfWork))
