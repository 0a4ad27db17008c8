"""The upcoming invoice at its period's end, if usage goes on at its pace."""

from typing import Any

import pytest

from billing_server.services.context import ServiceContext
from billing_server.services.estimate_period import estimate_to_dict
from billing_server.services.move_clock import advance_clock
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.world import CATALOG, Usage, apply, make_context

A_QUARTER = "2026-02-07T10:00:00Z"
"""Seven of the 28 days from 31 January 10:00 to 28 February 10:00."""


@pytest.fixture
def context(memory_store: SqlStore) -> ServiceContext:
    context = make_context(memory_store)
    apply(context, CATALOG)
    return context


def estimate(context: ServiceContext) -> Any:
    return upcoming_invoice(context, customer_id="acme")["estimate"]


def test_tiers_that_are_still_to_come_stand_in_the_estimate(context: ServiceContext) -> None:
    Usage(context).send("600", at="2026-02-01T00:00:00Z")
    advance_clock(context, to=parse_instant(A_QUARTER))
    found = estimate(context)
    assert (found["is_estimate"], found["method"], found["as_of"]) == (
        True,
        "linear_run_rate",
        A_QUARTER,
    )
    (period,) = found["periods"]
    assert (period["subscription"], period["elapsed_share"]) == ("sub-1", "0.25")
    # 600 in a quarter are 2,400 in all; 1,000 are included, 1,400 × 0.01 = 14.00, and the fee.
    assert [(line["price"], line["quantity"], line["amount"]) for line in period["lines"]] == [
        ("base", "1", "20.00"),
        ("tokens", "2400", "14.00"),
    ]
    assert found["total"] == period["total"] == "34.00"
    # So far nothing of it is charged: 600 are included.
    assert upcoming_invoice(context, customer_id="acme")["total"] == "20.00"


def test_nothing_is_estimated_from_the_first_minutes_of_a_period(context: ServiceContext) -> None:
    Usage(context).send("600", at="2026-01-31T10:00:00Z")
    # A hundredth of 28 days are 6:43:12 h.
    advance_clock(context, to=parse_instant("2026-01-31T16:43:11Z"))
    assert estimate(context) is None
    advance_clock(context, to=parse_instant("2026-01-31T16:43:12Z"))
    assert estimate(context)["periods"][0]["elapsed_share"] == "0.01"


def test_nothing_is_estimated_before_a_period_has_begun(context: ServiceContext) -> None:
    assert estimate(context) is None
    assert estimate_to_dict([], now=context.clock.now()) is None


def test_several_subscriptions_are_estimated_together(context: ServiceContext) -> None:
    apply(
        context,
        "subscriptions: [{id: sub-2, customer: acme, plan: pro, start: 2026-01-31T10:00:00Z}]",
    )
    Usage(context).send("600", at="2026-02-01T00:00:00Z")
    advance_clock(context, to=parse_instant(A_QUARTER))
    found = estimate(context)
    assert [(each["subscription"], each["total"]) for each in found["periods"]] == [
        ("sub-1", "34.00"),
        ("sub-2", "20.00"),
    ]
    assert found["total"] == "54.00"


def test_late_usage_stands_in_the_estimate_once_and_as_it_is(context: ServiceContext) -> None:
    usage = Usage(context)
    usage.send("1000", at="2026-02-01T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-02-28T12:00:00Z"))
    usage.send("100", at="2026-02-02T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-03-07T10:00:00Z"))
    lines = estimate(context)["periods"][0]["lines"]
    assert [(line["kind"], line["quantity"], line["amount"]) for line in lines] == [
        ("recurring", "1", "20.00"),
        ("late_usage", "100", "1.00"),
    ]


def test_a_level_is_estimated_as_held_until_the_end_r19(memory_store: SqlStore) -> None:
    context = make_context(memory_store)
    apply(
        context,
        """
meters: [{key: gigabytes, unit: GB, aggregation: time_weighted}]
plans:
  - key: storage
    currency: USD
    prices: [{key: stored, kind: usage, meter: gigabytes, model: per_unit, unit_price: "1"}]
customers: [{id: acme}]
subscriptions: [{id: sub-1, customer: acme, plan: storage, start: 2026-01-31T10:00:00Z}]
""",
    )
    Usage(context).send("10", at="2026-01-31T10:00:00Z", meter="gigabytes", dimensions={})
    advance_clock(context, to=parse_instant(A_QUARTER))
    # 10 GB for a quarter of the period are 2.5 so far, and 10 if they stay.
    assert upcoming_invoice(context, customer_id="acme")["total"] == "2.50"
    assert estimate(context)["total"] == "10.00"
