"""The port of invoices is implemented."""

import pytest

from billing_server.domain.ports.invoices import InvoiceRepository
from billing_server.store.invoice_repository import SqlInvoiceRepository
from tests.billing_server.domain.ports.conformance import differences


@pytest.mark.parametrize(
    ("port", "implementation"),
    [(InvoiceRepository, SqlInvoiceRepository)],
)
def test_the_repository_has_every_method_of_its_port(port: type, implementation: type) -> None:
    assert differences(port, implementation) == []
