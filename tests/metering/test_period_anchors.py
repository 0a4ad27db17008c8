"""Tests of the anchor modes of R9 as constructors of billing cycles."""

import pytest

from metering.clock import format_instant, parse_instant
from metering.period import (
    BillingCycle,
    PeriodUnit,
    billing_day_cycle,
    calendar_cycle,
    month_day_cycle,
    weekday_cycle,
)


def boundaries(grid: BillingCycle, count: int) -> list[str]:
    """Returns boundaries 0 to count - 1 as text, the time left out where it is midnight UTC."""
    return [format_instant(grid.boundary(n)).removesuffix("T00:00:00Z") for n in range(count)]


def laid_out(grid: BillingCycle, start: str, count: int) -> list[tuple[str, str]]:
    """Returns periods as pairs of text."""
    return [
        (format_instant(period.start), format_instant(period.end))
        for period in grid.periods(parse_instant(start), count=count)
    ]


@pytest.mark.parametrize(
    ("unit", "start", "end"),
    [
        (PeriodUnit.DAY, "2026-08-13", "2026-08-14"),
        (PeriodUnit.WEEK, "2026-08-10", "2026-08-17"),  # 13 August 2026 is a Thursday
        (PeriodUnit.MONTH, "2026-08-01", "2026-09-01"),
        (PeriodUnit.QUARTER, "2026-07-01", "2026-10-01"),
        (PeriodUnit.HALF_YEAR, "2026-07-01", "2027-01-01"),
        (PeriodUnit.YEAR, "2026-01-01", "2027-01-01"),
    ],
)
def test_r9_a_calendar_cycle_follows_the_units_of_the_calendar(
    unit: PeriodUnit, start: str, end: str
) -> None:
    at = parse_instant("2026-08-13T15:00:00Z")
    whole = calendar_cycle(unit=unit, timezone="UTC", at=at).whole_period_at(at)
    assert [whole.start.date().isoformat(), whole.end.date().isoformat()] == [start, end]


def test_r9_a_fixed_day_31_is_the_last_day_of_every_month() -> None:
    # The subscription starts in a month of 28 days; the later boundaries still aim at 31.
    grid = billing_day_cycle(day=31, timezone="UTC", at=parse_instant("2026-02-10T12:00:00Z"))
    assert boundaries(grid, 4) == ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]
    assert laid_out(grid, "2026-02-10T12:00:00Z", 1) == [
        ("2026-02-10T12:00:00Z", "2026-02-28T00:00:00Z")
    ]


def test_r9_a_fixed_day_is_a_local_day() -> None:
    # 23:30 UTC on 14 March is the 15th in Berlin.
    at = parse_instant("2026-03-14T23:30:00Z")
    grid = billing_day_cycle(day=15, timezone="Europe/Berlin", at=at)
    assert format_instant(grid.period_at(at).start) == "2026-03-14T23:00:00Z"


def test_r9_quarters_on_a_fixed_day_count_from_the_month_of_the_start() -> None:
    grid = billing_day_cycle(
        day=15, timezone="UTC", at=parse_instant("2026-05-20T00:00:00Z"), unit=PeriodUnit.QUARTER
    )
    assert laid_out(grid, "2026-05-20T00:00:00Z", 2) == [
        ("2026-05-20T00:00:00Z", "2026-08-15T00:00:00Z"),
        ("2026-08-15T00:00:00Z", "2026-11-15T00:00:00Z"),
    ]


def test_r9_a_fixed_weekday_begins_at_local_midnight() -> None:
    at = parse_instant("2026-08-13T15:00:00Z")  # a Thursday
    friday = weekday_cycle(weekday=4, timezone="America/New_York", at=at)
    assert format_instant(friday.boundary(0)) == "2026-08-07T04:00:00Z"
    thursday = weekday_cycle(weekday=3, timezone="America/New_York", at=at, every=2)
    assert format_instant(thursday.boundary(0)) == "2026-08-13T04:00:00Z"
    assert format_instant(thursday.boundary(1)) == "2026-08-27T04:00:00Z"


def test_r9_a_fixed_day_of_the_year_begins_at_local_midnight() -> None:
    at = parse_instant("2026-02-13T00:00:00Z")
    grid = month_day_cycle(month=4, day=6, timezone="Europe/London", at=at)
    whole = grid.whole_period_at(at)
    # 6 April lies in summer time: 00:00 BST is 23:00 UTC the day before.
    assert format_instant(whole.start) == "2025-04-05T23:00:00Z"
    assert format_instant(whole.end) == "2026-04-05T23:00:00Z"


def test_r9_a_leap_day_of_the_year_is_the_28th_in_other_years() -> None:
    grid = month_day_cycle(
        month=2, day=29, timezone="UTC", at=parse_instant("2026-05-01T00:00:00Z")
    )
    assert boundaries(grid, 3) == ["2026-02-28", "2027-02-28", "2028-02-29"]
