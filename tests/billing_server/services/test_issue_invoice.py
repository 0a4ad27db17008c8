"""A draft becomes an invoice whole or not at all."""

from datetime import timedelta

import pytest

from billing_server.domain.invoice.build import build_start
from billing_server.domain.invoice.model import Invoice
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.issue_invoice import issue_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.errors import ConflictError
from tests.billing_server.world import CATALOG, apply, make_context

LATER = CATALOG.replace("start: 2026-01-31", "start: 2026-03-31")


def _issue(context: ServiceContext) -> Invoice:
    with context.store.write() as unit:
        terms = load_customer_terms(unit, customer_id="acme").of_subscription("sub-1")
        draft = build_start(terms).invoice
        assert draft is not None
        return issue_invoice(unit, context=context, draft=draft)


def test_an_invoice_has_its_number_times_and_content(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, LATER)
    invoice = _issue(context)
    assert (invoice.number, invoice.issue_time) == ("INV-000001", context.clock.now())
    assert invoice.due_time == context.clock.now() + timedelta(days=14)
    with store.read() as unit:
        kept = unit.invoices.get(invoice.id)
    assert kept is not None
    assert (kept["number"], kept["total"]) == ("INV-000001", "20.00")


def test_what_is_invoiced_cannot_be_invoiced_again_and_takes_no_number(store: SqlStore) -> None:
    """R67, R68: the unique key refuses it, and the roll-back frees the number."""
    context = make_context(store)
    apply(context, LATER)
    _issue(context)
    with pytest.raises(ConflictError) as refused:
        _issue(context)
    assert refused.value.reason == "INVOICE_EXISTS"
    with store.write() as unit:
        assert unit.invoices.take_number() == "INV-000002"
