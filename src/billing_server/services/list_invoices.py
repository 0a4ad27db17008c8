"""Listing and showing issued invoices."""

from billing_server.domain.ports.invoices import InvoiceContent, InvoiceFilter
from billing_server.services.context import ServiceContext
from billing_server.services.not_found import invoice_not_found
from billing_server.services.pages import Page, PageRequest, page_from


def list_invoices(
    context: ServiceContext, *, page: PageRequest, wanted: InvoiceFilter
) -> Page[InvoiceContent]:
    """List invoices in the order of issue."""
    with context.store.read() as unit:
        found = unit.invoices.page(wanted, after=page.after, limit=page.limit + 1)
    return page_from(found, request=page, key=lambda invoice: str(invoice["number"]))


def show_invoice(context: ServiceContext, *, number_or_id: str) -> InvoiceContent:
    """Return an invoice by its number or its id.

    Raises:
        NotFoundError: INVOICE_NOT_FOUND.
    """
    with context.store.read() as unit:
        found = unit.invoices.by_number(number_or_id) or unit.invoices.get(number_or_id)
    if found is None:
        raise invoice_not_found(number_or_id)
    return found
