"""Tests of periods and billing cycles: the numbers of the rules R1 to R10."""

from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest

from metering.clock import format_instant, parse_instant
from metering.errors import ValidationError
from metering.period import (
    BillingCycle,
    Period,
    PeriodUnit,
    billing_day_cycle,
    calendar_cycle,
    month_day_cycle,
    time_zone,
    weekday_cycle,
)

MONTH = PeriodUnit.MONTH


def cycle(anchor: str, unit: PeriodUnit = MONTH, zone: str = "UTC", every: int = 1) -> BillingCycle:
    """Returns an anniversary cycle."""
    return BillingCycle(anchor=parse_instant(anchor), unit=unit, every=every, timezone=zone)


def boundaries(grid: BillingCycle, count: int) -> list[str]:
    """Returns boundaries 0 to count - 1 as text, the time left out where it is midnight UTC."""
    return [format_instant(grid.boundary(n)).removesuffix("T00:00:00Z") for n in range(count)]


def laid_out(grid: BillingCycle, start: str, count: int) -> list[tuple[str, str]]:
    """Returns periods as pairs of text."""
    return [
        (format_instant(period.start), format_instant(period.end))
        for period in grid.periods(parse_instant(start), count=count)
    ]


def test_r1_what_happens_at_exactly_the_end_belongs_to_the_next_period() -> None:
    grid = calendar_cycle(
        unit=MONTH, timezone="Europe/Berlin", at=parse_instant("2026-01-15T00:00:00Z")
    )
    february = datetime(2026, 2, 1, tzinfo=time_zone("Europe/Berlin"))
    january = grid.whole_period_at(february - timedelta(microseconds=1))
    assert january.contains(january.start)
    assert not january.contains(february)
    assert january.end == february
    assert grid.whole_period_at(february).start == february


def test_r2_march_2026_in_new_york_has_743_hours() -> None:
    grid = calendar_cycle(
        unit=MONTH, timezone="America/New_York", at=parse_instant("2026-03-10T00:00:00Z")
    )
    march = grid.whole_period_at(parse_instant("2026-03-20T00:00:00Z"))
    assert format_instant(march.start) == "2026-03-01T05:00:00Z"
    assert format_instant(march.end) == "2026-04-01T04:00:00Z"
    assert march.seconds == 743 * 3600


def test_r2_an_anniversary_keeps_the_local_clock_time_of_its_anchor() -> None:
    # 09:30 in Berlin is 08:30 UTC in winter and 07:30 UTC in summer.
    grid = cycle("2026-02-10T08:30:00Z", zone="Europe/Berlin")
    assert [format_instant(grid.boundary(n)) for n in (1, 2)] == [
        "2026-03-10T08:30:00Z",
        "2026-04-10T07:30:00Z",
    ]


def test_r2_a_wall_time_that_does_not_exist_moves_forward_by_the_gap() -> None:
    # 02:30 on 29 March 2026 does not exist in Berlin: 02:30 + 1 h = 03:30 CEST = 01:30 UTC.
    grid = cycle("2026-02-28T01:30:00Z", PeriodUnit.DAY, "Europe/Berlin")
    assert format_instant(grid.boundary(29)) == "2026-03-29T01:30:00Z"
    # The next day 02:30 CEST exists again.
    assert format_instant(grid.boundary(30)) == "2026-03-30T00:30:00Z"


def test_r2_a_wall_time_that_occurs_twice_is_the_first() -> None:
    # 01:30 on 1 November 2026 in New York occurs at 05:30Z (EDT) and at 06:30Z (EST).
    grid = cycle("2026-10-31T05:30:00Z", PeriodUnit.DAY, "America/New_York")
    assert format_instant(grid.boundary(1)) == "2026-11-01T05:30:00Z"


def test_r2_a_midnight_that_does_not_exist_does_not_move_the_later_ones() -> None:
    # Clocks in Cairo went from 00:00 to 01:00 on Friday 28 April 2023.
    at = parse_instant("2023-04-28T12:00:00Z")
    grid = billing_day_cycle(day=28, timezone="Africa/Cairo", at=at)
    assert format_instant(grid.boundary(0)) == "2023-04-27T22:00:00Z"
    # 28 May 00:00 EEST (+3).
    assert format_instant(grid.boundary(1)) == "2023-05-27T21:00:00Z"


def test_r2_weekly_periods_count_from_the_anchors_weekday() -> None:
    grid = cycle("2026-03-04T10:00:00Z", PeriodUnit.WEEK)  # a Wednesday
    assert boundaries(grid, 3) == [
        "2026-03-04T10:00:00Z",
        "2026-03-11T10:00:00Z",
        "2026-03-18T10:00:00Z",
    ]


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-07-04", 24)]
)
def test_r3_a_local_day_has_23_24_or_25_hours(day: str, hours: int) -> None:
    noon = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=time_zone("America/New_York"))
    grid = calendar_cycle(unit=PeriodUnit.DAY, timezone="America/New_York", at=noon)
    assert grid.whole_period_at(noon).seconds == hours * 3600


@pytest.mark.parametrize(
    "name",
    ["posix/Europe/Berlin", "right/Europe/Berlin", "localtime", "posixrules", "Factory"],
)
def test_r3_a_file_that_lies_beside_the_zones_is_no_time_zone(name: str) -> None:
    # "right" counts leap seconds, "localtime" is whatever the machine is set to.
    with pytest.raises(ValidationError) as caught:
        time_zone(name)
    assert caught.value.reason == "TIMEZONE_UNKNOWN"


def test_r3_a_fixed_offset_is_no_time_zone() -> None:
    for name in [
        "+01:00",
        "UTC+1",
        "Europe",
        "../etc/passwd",
        "/etc/localtime",
        "",
        "X" * 100,
        "Berlin",
    ]:
        with pytest.raises(ValidationError) as caught:
            cycle("2026-01-01T00:00:00Z", zone=name)
        assert caught.value.reason == "TIMEZONE_UNKNOWN"


def test_r4_the_31st_comes_back_after_every_short_month() -> None:
    assert boundaries(cycle("2026-01-31T00:00:00Z"), 5) == [
        "2026-01-31",
        "2026-02-28",
        "2026-03-31",
        "2026-04-30",
        "2026-05-31",
    ]


@pytest.mark.parametrize(
    ("anchor", "unit", "expected"),
    [
        ("2028-01-30T00:00:00Z", MONTH, ["2028-01-30", "2028-02-29", "2028-03-30"]),
        (
            "2026-11-30T00:00:00Z",
            PeriodUnit.QUARTER,
            ["2026-11-30", "2027-02-28", "2027-05-30", "2027-08-30"],
        ),
        (
            "2024-02-29T00:00:00Z",
            PeriodUnit.YEAR,
            ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"],
        ),
        (
            "2025-08-31T00:00:00Z",
            PeriodUnit.HALF_YEAR,
            ["2025-08-31", "2026-02-28", "2026-08-31"],
        ),
    ],
)
def test_r5_a_clamped_day_returns_in_quarters_half_years_and_years(
    anchor: str, unit: PeriodUnit, expected: list[str]
) -> None:
    assert boundaries(cycle(anchor, unit), len(expected)) == expected


def test_r6_the_31st_billed_on_28_february_leaves_no_gap_and_no_overlap() -> None:
    grid = billing_day_cycle(day=31, timezone="UTC", at=parse_instant("2023-01-31T00:00:00Z"))
    # Inclusive ends: 31 Jan to 27 Feb, then 28 Feb to 30 Mar.
    assert laid_out(grid, "2023-01-31T00:00:00Z", 2) == [
        ("2023-01-31T00:00:00Z", "2023-02-28T00:00:00Z"),
        ("2023-02-28T00:00:00Z", "2023-03-31T00:00:00Z"),
    ]


def test_r7_a_new_zone_begins_where_the_running_period_ends() -> None:
    berlin = calendar_cycle(
        unit=MONTH, timezone="Europe/Berlin", at=parse_instant("2026-01-15T00:00:00Z")
    )
    running_end = berlin.boundary(1)  # 1 February 00:00 in Berlin
    new_york = calendar_cycle(unit=MONTH, timezone="America/New_York", at=running_end)
    # That instant is 18:00 on 31 January in New York: six hours of stub, then New York's months.
    assert laid_out(new_york, format_instant(running_end), 2) == [
        ("2026-01-31T23:00:00Z", "2026-02-01T05:00:00Z"),
        ("2026-02-01T05:00:00Z", "2026-03-01T05:00:00Z"),
    ]


def test_r8_a_calendar_cycle_begins_with_a_stub_and_an_anniversary_with_a_whole_period() -> None:
    start = "2026-01-20T10:00:00Z"
    calendar = calendar_cycle(unit=MONTH, timezone="UTC", at=parse_instant(start))
    assert laid_out(calendar, start, 2) == [
        (start, "2026-02-01T00:00:00Z"),
        ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
    ]
    assert laid_out(cycle(start), start, 1) == [(start, "2026-02-20T10:00:00Z")]
    stub = calendar.period_at(parse_instant("2026-01-25T00:00:00Z"), start=parse_instant(start))
    assert stub == Period(parse_instant(start), parse_instant("2026-02-01T00:00:00Z"))
    whole = calendar.whole_period_at(parse_instant("2026-01-25T00:00:00Z"))
    assert calendar.period_at(parse_instant("2026-01-25T00:00:00Z")) == whole
    february = parse_instant("2026-02-10T00:00:00Z")
    assert calendar.period_at(february, start=parse_instant(start)).seconds == 28 * 86_400


def test_an_instant_before_the_start_lies_in_no_period() -> None:
    grid = cycle("2026-01-01T00:00:00Z")
    with pytest.raises(ValidationError) as caught:
        grid.period_at(
            parse_instant("2026-01-05T00:00:00Z"), start=parse_instant("2026-01-06T00:00:00Z")
        )
    assert caught.value.reason == "PERIOD_OUT_OF_RANGE"


def test_r10_an_anchor_in_the_hour_that_occurs_twice_stays_the_callers_instant() -> None:
    # 06:30Z is the second 01:30 of 1 November 2026 in New York.
    grid = cycle("2026-11-01T06:30:00Z", zone="America/New_York")
    assert format_instant(grid.boundary(0)) == "2026-11-01T06:30:00Z"
    assert format_instant(grid.boundary(1)) == "2026-12-01T06:30:00Z"
    # Looking one period ahead to a November: the first 01:30, 05:30Z.
    year = cycle("2025-11-01T05:30:00Z", PeriodUnit.YEAR, "America/New_York")
    assert format_instant(year.boundary(1)) == "2026-11-01T05:30:00Z"
    first = grid.whole_period_at(parse_instant("2026-11-01T06:29:59Z"))
    assert format_instant(first.end) == "2026-11-01T06:30:00Z"


def test_several_units_make_one_period() -> None:
    assert boundaries(cycle("2026-01-31T00:00:00Z", every=2), 3) == [
        "2026-01-31",
        "2026-03-31",
        "2026-05-31",
    ]
    assert boundaries(cycle("2026-01-01T00:00:00Z", PeriodUnit.DAY, every=10), 2) == [
        "2026-01-01",
        "2026-01-11",
    ]
    assert boundaries(cycle("2026-01-05T00:00:00Z", PeriodUnit.WEEK, every=2), 2) == [
        "2026-01-05",
        "2026-01-19",
    ]


def test_periods_reach_back_before_the_anchor() -> None:
    grid = cycle("2026-01-31T00:00:00Z")
    assert grid.period_index_at(parse_instant("2025-12-30T23:59:59Z")) == -2
    assert format_instant(grid.boundary(-2)) == "2025-11-30T00:00:00Z"
    assert grid.period_index_at(parse_instant("2025-12-31T00:00:00Z")) == -1
    assert grid.period_index_at(parse_instant("2026-01-31T00:00:00Z")) == 0


def test_a_far_period_is_found_without_walking_there(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = cycle("1970-01-01T00:00:00Z", PeriodUnit.DAY, "Europe/Berlin")
    asked: list[int] = []
    boundary = BillingCycle.boundary

    def counting(self: BillingCycle, n: int) -> datetime:
        asked.append(n)
        return boundary(self, n)

    monkeypatch.setattr(BillingCycle, "boundary", counting)
    # 1,000 years of 365 days and 250 − 10 + 3 leap days (no 2100, 2200, 2300, 2500 …).
    assert grid.period_index_at(parse_instant("2970-01-01T12:00:00Z")) == 365_243
    assert len(asked) <= 4


def test_a_day_that_a_zone_skipped_makes_no_period() -> None:
    # Samoa went from 29 December 2011 straight to the 31st, across the date line.
    grid = calendar_cycle(
        unit=PeriodUnit.DAY, timezone="Pacific/Apia", at=parse_instant("2011-12-29T12:00:00Z")
    )
    assert laid_out(grid, "2011-12-29T10:00:00Z", 2) == [
        ("2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
        ("2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"),
    ]
    after = grid.whole_period_at(parse_instant("2011-12-30T10:00:00Z"))
    assert format_instant(after.end) == "2011-12-31T10:00:00Z"


def test_periods_overlap_in_the_span_that_both_share() -> None:
    january = Period(parse_instant("2026-01-01T00:00:00Z"), parse_instant("2026-02-01T00:00:00Z"))
    middle = Period(parse_instant("2026-01-20T00:00:00Z"), parse_instant("2026-02-10T00:00:00Z"))
    february = Period(january.end, parse_instant("2026-03-01T00:00:00Z"))
    assert january.overlap(middle) == Period(middle.start, january.end)
    assert middle.overlap(january) == Period(middle.start, january.end)
    assert january.overlap(february) is None


def test_a_period_is_exact_to_the_microsecond_and_kept_in_utc() -> None:
    start = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    period = Period(start, start + timedelta(seconds=1, microseconds=1))
    assert period.start == datetime(2026, 1, 1, tzinfo=UTC)
    assert period.start.tzinfo is UTC
    assert period.seconds == Fraction(1_000_001, 1_000_000)


def test_an_empty_period_and_a_naive_instant_are_refused() -> None:
    instant = parse_instant("2026-01-01T00:00:00Z")
    with pytest.raises(ValidationError) as caught:
        Period(instant, instant)
    assert caught.value.reason == "PERIOD_EMPTY"
    with pytest.raises(ValidationError) as caught:
        Period(instant.replace(tzinfo=None), instant)
    assert caught.value.reason == "INSTANT_NAIVE"


def test_settings_out_of_range_are_refused_with_their_reason() -> None:
    at = parse_instant("2026-01-01T00:00:00Z")
    cases = {
        "PERIOD_EVERY_OUT_OF_RANGE": [
            lambda: cycle("2026-01-01T00:00:00Z", every=0),
            lambda: cycle("2026-01-01T00:00:00Z", every=1001),
        ],
        "PERIOD_COUNT_OUT_OF_RANGE": [lambda: cycle("2026-01-01T00:00:00Z").periods(at, count=0)],
        "BILLING_DAY_OUT_OF_RANGE": [
            lambda: billing_day_cycle(day=0, timezone="UTC", at=at),
            lambda: billing_day_cycle(day=32, timezone="UTC", at=at),
            lambda: BillingCycle(anchor=at, unit=MONTH, anchor_day=40),
        ],
        "WEEKDAY_OUT_OF_RANGE": [lambda: weekday_cycle(weekday=7, timezone="UTC", at=at)],
        "MONTH_DAY_OUT_OF_RANGE": [
            lambda: month_day_cycle(month=13, day=1, timezone="UTC", at=at),
            lambda: month_day_cycle(month=2, day=30, timezone="UTC", at=at),
        ],
        "PERIOD_OUT_OF_RANGE": [
            lambda: cycle("2026-01-01T00:00:00Z").boundary(100_000),
            lambda: cycle("2026-01-01T00:00:00Z").boundary(-100_000),
            lambda: cycle("2026-01-01T00:00:00Z", PeriodUnit.DAY).boundary(10**15),
            lambda: cycle("2026-01-01T00:00:00Z", zone="Asia/Tokyo").period_index_at(
                datetime.max.replace(tzinfo=UTC)
            ),
            lambda: billing_day_cycle(
                day=1, timezone="Asia/Tokyo", at=datetime.max.replace(tzinfo=UTC)
            ),
            lambda: billing_day_cycle(
                day=1, timezone="Asia/Tokyo", at=datetime.min.replace(tzinfo=UTC)
            ),
        ],
    }
    for reason, calls in cases.items():
        for call in calls:
            with pytest.raises(ValidationError) as caught:
                call()
            assert caught.value.reason == reason
