"""Billing periods on both databases."""

from billing_server.domain.ports.customers import BillingPeriodState, DueKey, SubscriptionPeriod
from billing_server.domain.usage.instants import microseconds_from_instant
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from metering.period import Period
from tests.billing_server.store.catalog_rows import NOW, subscription, write_rows

JANUARY = parse_instant("2026-01-31T10:00:00Z")
FEBRUARY = parse_instant("2026-02-28T10:00:00Z")
MARCH = parse_instant("2026-03-31T10:00:00Z")
SUBSCRIPTIONS = [subscription(name, start="2026-01-31T10:00:00Z") for name in ("a", "b")]


def _period(subscription_id: str) -> SubscriptionPeriod:
    return SubscriptionPeriod(
        subscription_id, "acme", Period(JANUARY, FEBRUARY), BillingPeriodState.RUNNING, False
    )


def test_a_period_is_written_once_and_becomes_invoiced(store: SqlStore) -> None:
    with store.write() as unit:
        write_rows(unit, *SUBSCRIPTIONS)
        unit.billing_periods.add(_period("a"))
        unit.billing_periods.add(_period("a"))
        assert unit.billing_periods.running("a") == (_period("a"),)
        unit.billing_periods.mark_invoiced("a", start=JANUARY, close_time=NOW)
        assert unit.billing_periods.running("a") == ()
        found = unit.billing_periods.get("a", start=JANUARY)
        assert found is not None
        assert found.state is BillingPeriodState.INVOICED
        assert unit.billing_periods.get("a", start=FEBRUARY) is None
        assert unit.billing_periods.invoiced_until("a") == FEBRUARY
        assert unit.billing_periods.invoiced_until("b") is None


def test_ended_periods_are_walked_by_end_and_subscription(store: SqlStore) -> None:
    with store.write() as unit:
        write_rows(unit, *SUBSCRIPTIONS)
        for name in ("b", "a"):
            unit.billing_periods.add(_period(name))
        first = unit.billing_periods.due(ended_until=FEBRUARY, after=None, limit=1)
        assert first == (_period("a"),)
        after = DueKey(FEBRUARY, "a")
        assert unit.billing_periods.due(ended_until=MARCH, after=after, limit=9) == (_period("b"),)
        assert unit.billing_periods.due(ended_until=JANUARY, after=None, limit=9) == ()
        assert unit.billing_periods.next_end(after=JANUARY) == FEBRUARY
        assert unit.billing_periods.next_end(after=FEBRUARY) is None


def test_late_usage_marks_invoiced_periods_alone_until_it_is_cleared(store: SqlStore) -> None:
    """R76."""
    start_us = microseconds_from_instant(JANUARY)
    with store.write() as unit:
        write_rows(unit, *SUBSCRIPTIONS)
        for name in ("a", "b"):
            unit.billing_periods.add(_period(name))
        unit.billing_periods.mark_invoiced("a", start=JANUARY, close_time=NOW)
        unit.usage.mark_late_usage([("a", start_us), ("b", start_us)])
        (late,) = unit.billing_periods.with_late_usage("a")
        assert late.has_late_usage
        assert unit.billing_periods.with_late_usage("b") == ()
        unit.billing_periods.clear_late_usage("a", start=JANUARY)
        assert unit.billing_periods.with_late_usage("a") == ()
