"""Periods without an invoice: those that ended, and the present one."""

import pytest

from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.open_periods import open_periods
from billing_server.store.unit_of_work import SqlStore
from metering.clock import ManualClock, format_instant, parse_instant
from tests.billing_server.world import CATALOG, apply, make_context


@pytest.mark.parametrize(
    ("now", "starts"),
    [
        ("2026-01-31T10:00:00Z", ["2026-01-31T10:00:00Z"]),
        ("2026-02-28T09:59:59Z", ["2026-01-31T10:00:00Z"]),
        # In the grace.
        ("2026-02-28T10:00:00Z", ["2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z"]),
        # While invoices are behind.
        (
            "2026-04-01T00:00:00Z",
            ["2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z", "2026-03-31T10:00:00Z"],
        ),
    ],
)
def test_ended_periods_come_before_the_present_one(
    store: SqlStore, now: str, starts: list[str]
) -> None:
    """R75."""
    context = make_context(store)
    apply(context, CATALOG)
    assert isinstance(context.clock, ManualClock)
    context.clock.advance_to(parse_instant(now))
    with store.read() as unit:
        timeline = load_customer_terms(unit, customer_id="acme").timelines["sub-1"]
        found = list(open_periods(unit, timeline=timeline, now=context.clock.now()))
    assert [format_instant(period.start) for period in found] == starts
