"""The fee in advance is invoiced once, when the subscription starts."""

from billing_server.services.run_due_work import run_due_work
from billing_server.services.start_invoice import issue_start_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.clock import ManualClock, parse_instant
from tests.billing_server.world import CATALOG, apply, make_context


def test_a_start_in_the_future_is_invoiced_then_and_once(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG.replace("start: 2026-01-31T10", "start: 2026-02-02T10"))
    assert issue_start_invoice(context, subscription_id="sub-1") is None
    assert isinstance(context.clock, ManualClock)
    context.clock.advance_to(parse_instant("2026-02-02T10:00:00Z"))
    invoice = issue_start_invoice(context, subscription_id="sub-1")
    assert invoice is not None
    assert (invoice.number, invoice.cause) == ("INV-000001", "sub-1")
    assert issue_start_invoice(context, subscription_id="sub-1") is None
    assert run_due_work(context).done_count == 0


def test_a_first_calendar_period_costs_its_share(store: SqlStore) -> None:
    """R8: 31 January 10:00 to 1 February is 14 of 744 hours: 20 × 14/744 = 0.376… -> 0.38."""
    context = make_context(store)
    apply(context, CATALOG.replace("anchor: anniversary", "anchor: calendar"))
    with store.read() as unit:
        content = unit.invoices.by_number("INV-000001")
    assert content is not None
    assert content["total"] == "0.38"
    assert content["lines"][0]["proration"] == {"numerator": 7, "denominator": 372}


def test_a_plan_without_fees_in_advance_has_no_start_invoice(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG.replace("bill: in_advance", "bill: in_arrears"))
    assert issue_start_invoice(context, subscription_id="sub-1") is None
    assert issue_start_invoice(context, subscription_id="no-such") is None
