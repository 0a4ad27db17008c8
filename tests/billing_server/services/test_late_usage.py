"""Invoiced periods with late usage are found, and forgotten once it is invoiced."""

from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.late_usage import clear_late_periods, find_late_periods
from billing_server.services.move_clock import advance_clock
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.world import CATALOG, Usage, apply, make_context


def test_late_usage_is_found_with_what_was_invoiced_and_cleared(store: SqlStore) -> None:
    """R76."""
    context = make_context(store)
    apply(context, CATALOG)
    usage = Usage(context)
    usage.send("1500", at="2026-02-10T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-03-01T00:00:00Z"))
    usage.send("300", at="2026-02-11T00:00:00Z")
    with store.write() as unit:
        terms = load_customer_terms(unit, customer_id="acme")
        (late,) = find_late_periods(unit, terms=terms, subscription_id="sub-1")
        assert late.period.start == parse_instant("2026-01-31T10:00:00Z")
        assert late.quantities == {"tokens": 1800}
        invoiced = late.invoiced["tokens"]
        assert (invoiced.quantity, invoiced.amount_minor, invoiced.line_count) == (1500, 500, 1)
        clear_late_periods(unit, subscription_id="sub-1", late=[late], held_back=[])
        assert find_late_periods(unit, terms=terms, subscription_id="sub-1") == ()
