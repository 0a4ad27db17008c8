"""The port of the catalog is implemented."""

import pytest

from billing_server.domain.ports.catalog import CatalogRepository
from billing_server.store.catalog_repository import SqlCatalogRepository
from tests.billing_server.domain.ports.conformance import differences


@pytest.mark.parametrize(
    ("port", "implementation"),
    [(CatalogRepository, SqlCatalogRepository)],
)
def test_the_repository_has_every_method_of_its_port(port: type, implementation: type) -> None:
    assert differences(port, implementation) == []
