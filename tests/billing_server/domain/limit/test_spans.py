"""Windows of limits: on the customer's calendar, each an account of its own."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing_server.domain.catalog.limit import Limit, LimitSubject, LimitWindow, WindowUnit
from billing_server.domain.limit.spans import LimitSpan, span_at
from metering.clock import format_instant, parse_instant
from metering.period import Period

TOKENS = Limit(key="a", subject=LimitSubject.METER, meter="tokens", maximum=Decimal(5))
NOON = datetime(2026, 3, 29, 12, 34, 56, tzinfo=UTC)


def span(
    unit: WindowUnit,
    *,
    at: datetime = NOON,
    timezone: str = "Europe/Berlin",
    period: Period | None = None,
) -> LimitSpan:
    limit = replace(TOKENS, window=LimitWindow(unit))
    return span_at(limit, at=at, timezone=timezone, billing_period=period)


@pytest.mark.parametrize(
    ("unit", "start", "end"),
    [
        # Summer time began that night: the day has 23 hours.
        (WindowUnit.DAY, "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        (WindowUnit.WEEK, "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z"),
        (WindowUnit.MONTH, "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),
        (WindowUnit.HOUR, "2026-03-29T12:00:00Z", "2026-03-29T13:00:00Z"),
    ],
)
def test_r93_a_calendar_window_follows_the_customers_zone(
    unit: WindowUnit, start: str, end: str
) -> None:
    found = span(unit)
    assert (found.start, found.end) == (parse_instant(start), parse_instant(end))
    assert found.window_id.startswith(f"{start}/{unit}/")


def test_an_hour_of_a_zone_half_an_hour_apart_begins_on_its_own_clock() -> None:
    found = span(WindowUnit.HOUR, timezone="Asia/Kolkata")
    assert found.start == datetime(2026, 3, 29, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize("hours", range(26))
def test_r93_windows_of_a_day_never_overlap_and_leave_no_hole(hours: int) -> None:
    at = datetime(2026, 3, 28, 20, 15, tzinfo=UTC) + timedelta(hours=hours)
    found = span(WindowUnit.DAY, at=at)
    assert found.end is not None
    assert found.contains(at)
    assert not found.contains(found.end)
    assert span(WindowUnit.DAY, at=found.end).start == found.end


def test_a_billing_period_is_that_of_the_subscription_else_a_calendar_month() -> None:
    period = Period(NOON - timedelta(days=3), NOON + timedelta(days=3))
    assert span(WindowUnit.BILLING_PERIOD, period=period).start == period.start
    assert span(WindowUnit.BILLING_PERIOD).start == span(WindowUnit.MONTH).start


@pytest.mark.parametrize("unit", [WindowUnit.MINUTE, WindowUnit.LIFETIME, WindowUnit.ROLLING])
def test_a_rate_a_lifetime_and_a_rolling_window_have_one_account(unit: WindowUnit) -> None:
    assert span(unit) == span(unit, at=NOON + timedelta(days=900))
    assert span(unit).contains(NOON)


def test_a_limit_that_comes_to_count_something_else_gets_another_account() -> None:
    def window_id(limit: Limit) -> str:
        return span_at(limit, at=NOON, timezone="UTC", billing_period=None).window_id

    assert window_id(replace(TOKENS, maximum=Decimal(9), key="b")) == window_id(TOKENS)
    assert window_id(replace(TOKENS, where={"model": "large"})) != window_id(TOKENS)
    assert window_id(replace(TOKENS, meter="words")) != window_id(TOKENS)


def test_balances_and_slots_have_no_window() -> None:
    for subject in (LimitSubject.BALANCE, LimitSubject.CONCURRENCY):
        found = span_at(
            Limit(key="a", subject=subject), at=NOON, timezone="UTC", billing_period=None
        )
        assert (found.start, found.end) == (None, None)
        assert format_instant(NOON)[:4] not in found.window_id
