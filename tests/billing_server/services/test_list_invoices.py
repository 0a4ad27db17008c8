"""Invoices are listed in the order of issue and shown by number or id."""

import pytest

from billing_server.domain.ports.invoices import InvoiceFilter
from billing_server.services.list_invoices import list_invoices, show_invoice
from billing_server.services.move_clock import advance_clock
from billing_server.services.pages import PageRequest
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from metering.errors import NotFoundError
from tests.billing_server.world import CATALOG, apply, make_context


def test_invoices_are_filtered_and_paged_in_the_order_of_their_numbers(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    advance_clock(context, to=parse_instant("2026-05-01T00:00:00Z"))

    def numbers(
        wanted: InvoiceFilter, *, cursor: str | None = None
    ) -> tuple[list[str], str | None]:
        page = list_invoices(context, page=PageRequest(cursor=cursor, limit=3), wanted=wanted)
        return [invoice["number"][-1] for invoice in page.entries], page.next_cursor

    first, cursor = numbers(InvoiceFilter())
    assert first == ["1", "2", "3"]
    assert numbers(InvoiceFilter(), cursor=cursor) == (["4"], None)
    assert numbers(InvoiceFilter(reason="periodic")) == (["2", "3", "4"], None)
    assert numbers(InvoiceFilter(customer_id="nobody")) == ([], None)
    assert numbers(InvoiceFilter(state="paid")) == ([], None)


def test_an_invoice_is_shown_by_its_number_and_by_its_id(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    by_number = show_invoice(context, number_or_id="INV-000001")
    assert show_invoice(context, number_or_id=by_number["id"]) == by_number
    with pytest.raises(NotFoundError) as refused:
        show_invoice(context, number_or_id="INV-000009")
    assert refused.value.reason == "INVOICE_NOT_FOUND"
