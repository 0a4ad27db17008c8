"""Phases and the segments that they cut a period into."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_server.domain.catalog.model import Plan, RecurringPrice, UsagePrice
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.subscription.model import Subscription
from billing_server.domain.subscription.phase import Phase, price_runs, spans_of
from billing_server.domain.subscription.timeline import Timeline
from metering.errors import InvariantError
from metering.period import Period
from metering.proration import ProrationUnit


def at(month: int, day: int, hour: int = 0) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


START = at(1, 1)
FEBRUARY = Period(at(2, 1), at(3, 1))
SUBSCRIPTION = Subscription(
    id="sub-1", customer_id="acme", plan_key="pro", plan_version=1, start=START
)


def plan(
    unit_price: str, *, version: int = 1, proration: ProrationUnit = ProrationUnit.SECOND
) -> Plan:
    """Returns a plan of one price that changes and one that never does."""
    return Plan(
        key="pro",
        version=version,
        currency="USD",
        proration=proration,
        prices=(
            UsagePrice(key="input", meter="tokens", model=PerUnit(Decimal(unit_price))),
            UsagePrice(key="same", meter="images", model=PerUnit(Decimal(7))),
        ),
    )


def line(*later: Phase) -> Timeline:
    phases = (Phase(START, plan("1")), *later) if later else ()
    return Timeline(SUBSCRIPTION, plan("1"), phases=phases)


def test_r17_a_price_that_changes_cuts_its_period_and_one_that_does_not_makes_no_segment() -> None:
    timeline = line(Phase(at(2, 15), plan("2", version=2)))
    first, second = timeline.segments_of("input", period=FEBRUARY)
    assert (first.index, first.span, first.plan_version) == (0, Period(at(2, 1), at(2, 15)), 1)
    assert (second.index, second.span, second.plan_version) == (1, Period(at(2, 15), at(3, 1)), 2)
    assert (first.share, second.share) == (Fraction(1, 2), Fraction(1, 2))
    assert [each.price for each in (first, second)] == [
        UsagePrice(key="input", meter="tokens", model=PerUnit(Decimal(1))),
        UsagePrice(key="input", meter="tokens", model=PerUnit(Decimal(2))),
    ]
    (same,) = timeline.segments_of("same", period=FEBRUARY)
    # One line for the whole period, of the version that it began with.
    assert (same.span, same.share, same.plan_version) == (FEBRUARY, Fraction(1), 1)


@pytest.mark.parametrize(
    "change",
    [{"name": "Tokens"}, {"unit_cost": Decimal("0.1")}, {"estimate_unit_price": Decimal(9)}],
    ids=str,
)
def test_r17_what_charges_nothing_of_a_price_makes_no_segment(change: dict[str, Any]) -> None:
    named = replace(plan("1").usage_prices[0], **change)
    new = replace(plan("1", version=2), prices=(named,))
    later = Phase(at(2, 20), replace(new, version=3))
    (segment,) = line(Phase(at(2, 15), new), later).segments_of("input", period=FEBRUARY)
    # Named and costed as it stands last, under the version that the period began with.
    assert (segment.span, segment.price, segment.plan_version) == (FEBRUARY, named, 1)


def test_r17_a_fee_with_another_name_is_the_same_fee() -> None:
    fee = RecurringPrice(key="base", amount=Decimal(31))
    first, second = (
        replace(plan("1", version=number), prices=(replace(fee, name=name),))
        for number, name in ((1, "Base"), (2, "Base fee"))
    )
    timeline = Timeline(SUBSCRIPTION, first, phases=(Phase(START, first), Phase(at(2, 15), second)))
    (segment,) = timeline.segments_of("base", period=FEBRUARY)
    assert segment.price.name == "Base fee"
    dearer = replace(second, prices=(replace(fee, amount=Decimal(62)),))
    cut = replace(timeline, phases=(Phase(START, first), Phase(at(2, 15), dearer)))
    assert len(cut.segments_of("base", period=FEBRUARY)) == 2


def test_r17_other_periods_are_one_segment_each() -> None:
    timeline = line(Phase(at(2, 15), plan("2", version=2)))
    (january,) = timeline.segments_of("input", period=Period(at(1, 1), at(2, 1)))
    (march,) = timeline.segments_of("input", period=Period(at(3, 1), at(4, 1)))
    assert (january.plan_version, march.plan_version) == (1, 2)


def test_r47_by_day_the_day_of_a_change_belongs_to_the_new_segment() -> None:
    daily = plan("1", proration=ProrationUnit.DAY)
    later = Phase(at(2, 15, 18), plan("2", version=2, proration=ProrationUnit.DAY))
    timeline = Timeline(SUBSCRIPTION, daily, phases=(Phase(START, daily), later))
    first, second = timeline.segments_of("input", period=FEBRUARY)
    # 1 to 14 February are the old one's; the change at 18:00 gives the 15th to the new one.
    assert (first.share, second.share) == (Fraction(14, 28), Fraction(14, 28))


def test_a_price_that_goes_away_and_comes_back_has_two_segments() -> None:
    without = replace(plan("1", version=2), prices=plan("1").prices[1:])
    timeline = line(Phase(at(2, 8), without), Phase(at(2, 15), plan("1", version=3)))
    first, second = timeline.segments_of("input", period=FEBRUARY)
    assert (first.span, second.span) == (Period(at(2, 1), at(2, 8)), Period(at(2, 15), at(3, 1)))
    assert timeline.segment_at("input", period=FEBRUARY, at=at(2, 10)) is None
    assert timeline.segment_at("input", period=FEBRUARY, at=at(2, 15)) == second


def test_r50_without_proration_what_is_charged_of_a_period_costs_the_whole_once() -> None:
    whole = plan("1", proration=ProrationUnit.NONE)
    later = Phase(at(2, 15), plan("2", version=2, proration=ProrationUnit.NONE))
    # From 8 February: 7 days of 21 that are charged, then 14.
    subscription = replace(SUBSCRIPTION, start=at(2, 8))
    timeline = Timeline(subscription, whole, phases=(Phase(at(2, 8), whole), later))
    stub = Period(at(2, 8), at(3, 1))
    segments = timeline.segments_of("input", period=stub)
    assert [segment.share for segment in segments] == [Fraction(1, 3), Fraction(2, 3)]
    (same,) = timeline.segments_of("same", period=stub)
    assert same.share == 1
    # A price that comes in the middle is charged for that part alone.
    without = replace(whole, prices=whole.prices[1:])
    added = Timeline(SUBSCRIPTION, without, phases=(Phase(START, without), later))
    (segment,) = added.segments_of("input", period=FEBRUARY)
    assert segment.share == 1


def test_another_unit_of_proration_is_another_term() -> None:
    timeline = line(Phase(at(2, 15), plan("1", version=2, proration=ProrationUnit.DAY)))
    assert len(timeline.segments_of("same", period=FEBRUARY)) == 2


def test_r17_two_changes_on_one_day_make_a_segment_of_no_day_with_its_part_by_the_second() -> None:
    by_day = [plan(str(each), version=each, proration=ProrationUnit.DAY) for each in (1, 2, 3)]
    later = (Phase(at(2, 15, 10), by_day[1]), Phase(at(2, 15, 17), by_day[2]))
    timeline = Timeline(SUBSCRIPTION, by_day[0], phases=(Phase(START, by_day[0]), *later))
    found = timeline.segments_of("input", period=FEBRUARY)
    # The day of both changes is the last one's (R47): 14, 0 and 14 of 28; 7 of 672 hours.
    assert [(segment.share, segment.maximum_share) for segment in found] == [
        (Fraction(1, 2), None),
        (Fraction(0), Fraction(7, 672)),
        (Fraction(1, 2), None),
    ]


def test_lines_keep_the_order_of_the_first_version_and_new_prices_follow() -> None:
    added = UsagePrice(key="added", meter="calls", model=PerUnit(Decimal(1)))
    new = replace(plan("2", version=2), prices=(added, *plan("2").prices))
    timeline = line(Phase(at(2, 15), new))
    assert timeline.price_keys == ("input", "same", "added")
    found = [(price.key, segment.index) for price, segment in timeline.usage_segments(FEBRUARY)]
    assert found == [("input", 0), ("input", 1), ("same", 0), ("added", 0)]
    assert timeline.plan_at(at(2, 14)).version == 1
    assert timeline.plan_at(at(2, 15)).version == 2
    assert timeline.plan_at(at(1, 1) - (at(1, 2) - at(1, 1))).version == 1


@pytest.mark.parametrize("starts", [(), (at(1, 2),), (START, at(2, 1), at(2, 1))])
def test_phases_that_do_not_follow_one_another_are_a_defect(starts: Sequence[datetime]) -> None:
    phases = tuple(Phase(start, plan("1")) for start in starts)
    if not phases:
        assert Timeline(SUBSCRIPTION, plan("1"), phases=phases).phases == (Phase(START, plan("1")),)
        return
    with pytest.raises(InvariantError) as caught:
        Timeline(SUBSCRIPTION, plan("1"), phases=phases)
    assert caught.value.reason == "PHASES_MALFORMED"


changes = st.lists(
    st.tuples(st.integers(1, 40 * 24 * 60), st.integers(1, 3)),
    max_size=6,
    unique_by=lambda change: change[0],
)


@given(changes=changes, unit=st.sampled_from(list(ProrationUnit)))
@settings(max_examples=80, deadline=None)
def test_r17_segments_tile_the_period_and_their_shares_add_up(
    changes: list[tuple[int, int]], unit: ProrationUnit
) -> None:
    minute = (at(1, 2) - at(1, 1)) / (24 * 60)
    later = [
        Phase(START + offset * minute, plan(str(price), version=number, proration=unit))
        for number, (offset, price) in enumerate(sorted(changes), start=2)
    ]
    first = plan("1", proration=unit)
    timeline = Timeline(SUBSCRIPTION, first, phases=(Phase(START, first), *later))
    for period in (Period(at(1, 1), at(2, 1)), FEBRUARY):
        segments = timeline.segments_of("input", period=period)
        assert segments[0].span.start == period.start
        assert segments[-1].span.end == period.end
        for one, other in pairwise(segments):
            assert one.span.end == other.span.start
            assert one.price != other.price
        assert [segment.index for segment in segments] == list(range(len(segments)))
        assert sum(segment.share for segment in segments) == 1
        (same,) = timeline.segments_of("same", period=period)
        assert same.share == 1


def test_spans_and_runs_are_empty_where_nothing_applies() -> None:
    phases = (Phase(at(2, 15), plan("1")),)
    assert spans_of(phases, period=Period(at(1, 1), at(2, 1))) == []
    assert price_runs(spans_of(phases, period=FEBRUARY), price_key="nothing") == ()
