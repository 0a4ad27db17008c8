"""Properties of billing cycles: periods tile the line, whatever the anchor, unit and zone."""

import calendar
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.period import (
    BillingCycle,
    PeriodUnit,
    billing_day_cycle,
    calendar_cycle,
    month_day_cycle,
    weekday_cycle,
)

# Summer time on both hemispheres, half hours, half-hour summer time, gaps at midnight, a skipped
# day, a zone whose law changes often, and none at all.
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Asia/Beirut",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Pacific/Apia",
    "Pacific/Chatham",
]
MONTHS = {PeriodUnit.MONTH: 1, PeriodUnit.QUARTER: 3, PeriodUnit.HALF_YEAR: 6, PeriodUnit.YEAR: 12}

INSTANTS = st.datetimes(
    min_value=datetime(1985, 1, 1),  # noqa: DTZ001
    max_value=datetime(2060, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
CYCLES = st.builds(
    BillingCycle,
    anchor=INSTANTS,
    unit=st.sampled_from(PeriodUnit),
    every=st.integers(min_value=1, max_value=7),
    timezone=st.sampled_from(ZONES),
)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo"])
@pytest.mark.parametrize("day", range(1, 32))
def test_r6_ten_years_of_months_tile_the_line_for_every_anchor_day(day: int, zone: str) -> None:
    local = ZoneInfo(zone)
    at = datetime(2022, 1, day, 12, tzinfo=local)
    periods = billing_day_cycle(day=day, timezone=zone, at=at).periods(at, count=121)
    assert all(one.end == following.start for one, following in pairwise(periods))
    for number, period in enumerate(periods):
        end = period.end.astimezone(local)
        month = number + 2  # the first one ends in February 2022
        year, month = 2022 + (month - 1) // 12, (month - 1) % 12 + 1
        # R4, R5: never drifted, clamped to the month only.
        assert (end.year, end.month) == (year, month)
        assert end.day == min(day, calendar.monthrange(year, month)[1])


@given(cycle=CYCLES, start=INSTANTS, count=st.integers(min_value=1, max_value=30))
def test_r6_consecutive_periods_leave_no_gap_and_no_overlap(
    cycle: BillingCycle, start: datetime, count: int
) -> None:
    periods = cycle.periods(start, count=count)
    assert len(periods) == count
    assert periods[0].start == start
    assert all(one.end == following.start for one, following in pairwise(periods))
    assert all(period.start < period.end for period in periods)


@given(cycle=CYCLES, instant=INSTANTS)
def test_every_instant_lies_in_the_period_that_is_found_for_it(
    cycle: BillingCycle, instant: datetime
) -> None:
    whole = cycle.whole_period_at(instant)
    assert whole.contains(instant)
    index = cycle.period_index_at(instant)
    assert (cycle.boundary(index), cycle.boundary(index + 1)) == (whole.start, whole.end)
    assert cycle.whole_period_at(whole.end - timedelta(microseconds=1)) == whole
    assert cycle.whole_period_at(whole.end).start == whole.end


@given(cycle=CYCLES, n=st.integers(min_value=-100, max_value=100))
def test_boundaries_never_fall_and_are_found_again(cycle: BillingCycle, n: int) -> None:
    here, following = cycle.boundary(n), cycle.boundary(n + 1)
    assert here <= following
    if here < following:
        assert cycle.period_index_at(here) == n


@given(cycle=CYCLES, n=st.integers(min_value=-100, max_value=100).filter(bool))
def test_r2_r4_a_boundary_is_the_anchors_wall_time_on_the_clamped_day(
    cycle: BillingCycle, n: int
) -> None:
    zone = ZoneInfo(cycle.timezone)
    anchor = cycle.anchor.astimezone(zone).replace(tzinfo=None, fold=0)
    if cycle.unit in MONTHS:
        month = anchor.year * 12 + anchor.month - 1 + n * cycle.every * MONTHS[cycle.unit]
        last = calendar.monthrange(month // 12, month % 12 + 1)[1]
        wall = anchor.replace(year=month // 12, month=month % 12 + 1, day=min(anchor.day, last))
    else:
        days = 7 if cycle.unit is PeriodUnit.WEEK else 1
        wall = anchor + timedelta(days=n * cycle.every * days)
    boundary = cycle.boundary(n).astimezone(zone)
    reached = boundary.replace(tzinfo=None, fold=0)
    if reached == wall:
        assert boundary.fold == 0  # where it occurs twice, the first
        return
    # The wall time does not exist: it moved forward by the gap, to where the two offsets differ.
    before, after = (wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    assert before is not None
    assert after is not None
    assert reached - wall == after - before > timedelta(0)


@given(
    at=INSTANTS,
    zone=st.sampled_from(ZONES),
    unit=st.sampled_from(PeriodUnit),
    every=st.integers(min_value=1, max_value=3),
    day=st.integers(min_value=1, max_value=31),
    weekday=st.integers(min_value=0, max_value=6),
    month=st.integers(min_value=1, max_value=12),
    n=st.integers(min_value=1, max_value=60),
)
def test_r2_r9_every_anchor_mode_begins_at_local_midnight(
    at: datetime,
    zone: str,
    unit: PeriodUnit,
    every: int,
    day: int,
    weekday: int,
    month: int,
    n: int,
) -> None:
    first_days = min(day, 28)
    for cycle in (
        calendar_cycle(unit=unit, timezone=zone, at=at, every=every),
        billing_day_cycle(day=day, timezone=zone, at=at, every=every),
        weekday_cycle(weekday=weekday, timezone=zone, at=at, every=every),
        month_day_cycle(month=month, day=first_days, timezone=zone, at=at, every=every),
    ):
        local = cycle.boundary(n).astimezone(ZoneInfo(zone))
        just_before = (cycle.boundary(n) - timedelta(microseconds=1)).astimezone(ZoneInfo(zone))
        # Midnight, or the first instant of a day whose midnight the zone skips.
        assert local.time() == datetime.min.time() or just_before.date() < local.date()
        assert cycle.whole_period_at(at).contains(at)
