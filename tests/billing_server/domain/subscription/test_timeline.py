"""How subscriptions are cut into periods."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from billing_server.domain.catalog.model import Anchor, AnchorMode, BillingPeriod, Plan
from billing_server.domain.subscription.model import Subscription, VersionMove
from billing_server.domain.subscription.timeline import Timeline, billing_cycle_of, share_of_period
from metering.clock import format_instant, parse_instant
from metering.period import Period, PeriodUnit
from metering.proration import ProrationUnit

ANNIVERSARY = Anchor()
CALENDAR = Anchor(AnchorMode.CALENDAR)


def timeline(
    start: str,
    *,
    anchor: Anchor = ANNIVERSARY,
    end: str | None = None,
    own_anchor: str | None = None,
    timezone: str = "UTC",
    unit: PeriodUnit = PeriodUnit.MONTH,
    every: int = 1,
    proration: ProrationUnit = ProrationUnit.SECOND,
) -> Timeline:
    return Timeline(
        Subscription(
            id="sub-1",
            customer_id="acme",
            plan_key="pro",
            plan_version=1,
            start=parse_instant(start),
            end=None if end is None else parse_instant(end),
            anchor=None if own_anchor is None else parse_instant(own_anchor),
        ),
        Plan(
            key="pro",
            version=1,
            currency="USD",
            anchor=anchor,
            billing_period=BillingPeriod(unit, every),
            proration=proration,
        ),
        timezone,
    )


def starts(line: Timeline, count: int) -> list[str]:
    found = [line.first_period()]
    while len(found) < count:
        following = line.next_period(found[-1])
        assert following is not None
        assert following.start == found[-1].end
        found.append(following)
    return [format_instant(period.start) for period in found]


def test_r4_an_anniversary_on_the_31st_never_drifts() -> None:
    assert starts(timeline("2026-01-31T10:00:00Z"), 5) == [
        "2026-01-31T10:00:00Z",
        "2026-02-28T10:00:00Z",
        "2026-03-31T10:00:00Z",
        "2026-04-30T10:00:00Z",
        "2026-05-31T10:00:00Z",
    ]


def test_r8_an_anniversary_begins_with_a_whole_period() -> None:
    line = timeline("2026-01-31T10:00:00Z")
    assert line.share_of(line.first_period()) == 1


def test_r8_a_calendar_begins_with_a_stub_that_is_shared_by_the_second() -> None:
    line = timeline("2026-01-16T12:00:00Z", anchor=CALENDAR)
    first = line.first_period()
    assert first == Period(datetime(2026, 1, 16, 12, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    # 15.5 of 31 days
    assert line.share_of(first) == Fraction(1, 2)
    following = line.next_period(first)
    assert following is not None
    assert line.share_of(following) == 1


def test_r46_a_stub_by_day_is_a_share_of_the_whole_period() -> None:
    # 16 January to 31 January are 16 of 31 days; the hour of the start does not matter.
    line = timeline("2026-01-16T12:00:00Z", anchor=CALENDAR, proration=ProrationUnit.DAY)
    assert line.share_of(line.first_period()) == Fraction(16, 31)


def test_without_proration_a_stub_costs_the_whole() -> None:
    line = timeline("2026-01-16T12:00:00Z", anchor=CALENDAR, proration=ProrationUnit.NONE)
    assert line.share_of(line.first_period()) == 1


def test_r2_a_calendar_month_begins_at_local_midnight() -> None:
    # March 2026 in New York: from 05:00Z in winter time to 04:00Z in summer time.
    line = timeline("2026-03-01T05:00:00Z", anchor=CALENDAR, timezone="America/New_York")
    assert starts(line, 2) == ["2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"]
    assert line.first_period().seconds == 743 * 3600
    assert line.share_of(line.first_period()) == 1


@pytest.mark.parametrize(
    ("anchor", "unit", "second"),
    [
        (Anchor(AnchorMode.DAY, day=31), PeriodUnit.MONTH, "2026-02-28T00:00:00Z"),
        (Anchor(AnchorMode.DAY, day=5), PeriodUnit.MONTH, "2026-03-05T00:00:00Z"),
        # 18 February 2026 is a Wednesday; the next Monday is the 23rd.
        (Anchor(AnchorMode.WEEKDAY, day=1), PeriodUnit.WEEK, "2026-02-23T00:00:00Z"),
        (Anchor(AnchorMode.WEEKDAY, day=7), PeriodUnit.WEEK, "2026-02-22T00:00:00Z"),
        (Anchor(AnchorMode.MONTH_DAY, month=4, day=6), PeriodUnit.YEAR, "2026-04-06T00:00:00Z"),
        (CALENDAR, PeriodUnit.QUARTER, "2026-04-01T00:00:00Z"),
        (CALENDAR, PeriodUnit.DAY, "2026-02-19T00:00:00Z"),
    ],
)
def test_r9_the_first_period_ends_at_the_anchor_of_the_plan(
    anchor: Anchor, unit: PeriodUnit, second: str
) -> None:
    line = timeline("2026-02-18T09:30:00Z", anchor=anchor, unit=unit)
    assert starts(line, 2) == ["2026-02-18T09:30:00Z", second]


def test_r9_the_subscriptions_own_anchor_goes_before_the_plans() -> None:
    line = timeline("2026-02-18T00:00:00Z", anchor=CALENDAR, own_anchor="2026-03-10T08:00:00Z")
    assert starts(line, 3) == [
        "2026-02-18T00:00:00Z",
        "2026-03-10T08:00:00Z",
        "2026-04-10T08:00:00Z",
    ]


def test_a_period_may_be_several_units() -> None:
    line = timeline("2026-01-01T00:00:00Z", unit=PeriodUnit.WEEK, every=2)
    assert starts(line, 2) == ["2026-01-01T00:00:00Z", "2026-01-15T00:00:00Z"]


def test_r1_the_end_of_a_period_belongs_to_the_next() -> None:
    line = timeline("2026-01-01T00:00:00Z")
    at_border = line.period_at(datetime(2026, 2, 1, tzinfo=UTC))
    assert at_border == Period(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))


def test_r21_there_is_no_period_before_the_start_or_from_the_end_on() -> None:
    line = timeline("2026-01-01T00:00:00Z", end="2026-02-15T00:00:00Z")
    assert line.period_at(datetime(2025, 12, 31, tzinfo=UTC)) is None
    assert line.period_at(datetime(2026, 2, 15, tzinfo=UTC)) is None
    assert line.is_active_at(datetime(2026, 2, 14, tzinfo=UTC))


def test_the_end_cuts_the_last_period_and_nothing_follows_it() -> None:
    line = timeline("2026-01-01T00:00:00Z", end="2026-02-15T00:00:00Z")
    last = line.next_period(line.first_period())
    assert last == Period(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 15, tzinfo=UTC))
    # 14 of 28 days
    assert line.share_of(last) == Fraction(1, 2)
    assert line.next_period(last) is None


def test_periods_between_two_instants_are_those_that_share_time_with_them() -> None:
    line = timeline("2026-01-10T00:00:00Z", end="2026-04-20T00:00:00Z")
    found = line.periods_between(
        start=datetime(2026, 2, 15, tzinfo=UTC), end=datetime(2026, 3, 10, tzinfo=UTC)
    )
    assert [format_instant(period.start) for period in found] == ["2026-02-10T00:00:00Z"]
    everything = line.periods_between(
        start=datetime(2025, 1, 1, tzinfo=UTC), end=datetime(2027, 1, 1, tzinfo=UTC)
    )
    assert len(everything) == 4
    assert (
        line.periods_between(
            start=datetime(2026, 5, 1, tzinfo=UTC), end=datetime(2026, 6, 1, tzinfo=UTC)
        )
        == []
    )


def test_the_functions_beneath_give_the_same() -> None:
    line = timeline("2026-01-16T12:00:00Z", anchor=CALENDAR)
    cycle = billing_cycle_of(line.subscription, plan=line.plan, timezone="UTC")
    assert cycle == line.cycle
    assert share_of_period(line.first_period(), plan=line.plan, cycle=cycle) == Fraction(1, 2)


def test_the_phases_from_an_instant_on_begin_with_the_one_that_holds_it() -> None:
    line = timeline("2026-01-31T10:00:00Z")
    moves_at = parse_instant("2026-02-14T10:00:00Z")
    moving = Timeline.of(
        replace(line.subscription, moves=(VersionMove(start=moves_at, version=2),)),
        plans={1: line.plan, 2: replace(line.plan, version=2)},
        addons={},
        timezone="UTC",
    )

    def versions_from(text: str) -> list[int]:
        return [phase.plan.version for phase in moving.phases_from(parse_instant(text))]

    assert versions_from("2026-01-01T00:00:00Z") == [1, 2]
    assert versions_from("2026-02-14T09:59:00Z") == [1, 2]
    assert versions_from("2026-02-14T10:00:00Z") == [2]
