"""Whatever the anchor, zone and start: periods tile the time, and usage has one owner."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from billing_server.domain.catalog.model import (
    Anchor,
    AnchorMode,
    BillingPeriod,
    Plan,
    UsagePrice,
)
from billing_server.domain.rating.assignment import CustomerAssigner
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.subscription.model import Subscription
from billing_server.domain.subscription.timeline import Timeline
from metering.period import Period, PeriodUnit
from metering.proration import ProrationUnit

minutes = st.integers(0, 3 * 365 * 24 * 60).map(
    lambda count: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=count)
)
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"])
anchors = st.one_of(
    st.just((Anchor(), BillingPeriod())),
    st.just((Anchor(AnchorMode.CALENDAR), BillingPeriod(PeriodUnit.QUARTER))),
    st.just((Anchor(AnchorMode.WEEKDAY, day=3), BillingPeriod(PeriodUnit.WEEK, 2))),
    st.integers(1, 31).map(lambda day: (Anchor(AnchorMode.DAY, day=day), BillingPeriod())),
)
PRICE = UsagePrice(key="p", meter="tokens", model=PerUnit(Decimal(1)))


@st.composite
def timelines(draw: st.DrawFn, subscription: str = "sub-1") -> Timeline:
    anchor, billing_period = draw(anchors)
    start = draw(minutes)
    length = draw(st.one_of(st.none(), st.integers(1, 400 * 24 * 60)))
    return Timeline(
        Subscription(
            id=subscription,
            customer_id="acme",
            plan_key="pro",
            plan_version=1,
            start=start,
            end=None if length is None else start + timedelta(minutes=length),
        ),
        Plan(
            key="pro",
            version=1,
            currency="USD",
            anchor=anchor,
            billing_period=billing_period,
            proration=draw(st.sampled_from(ProrationUnit)),
            prices=(PRICE,),
        ),
        draw(zones),
    )


@given(line=timelines())
@settings(max_examples=60, deadline=None)
def test_r1_r6_periods_tile_the_time_from_start_to_end(line: Timeline) -> None:
    start, end = line.subscription.start, line.subscription.end
    horizon = start + timedelta(days=400) if end is None else end
    periods = line.periods_between(start=start, end=horizon)
    assert periods[0] == line.first_period()
    assert periods[0].start == start
    assert all(before.end == after.start for before, after in pairwise(periods))
    if end is not None:
        assert periods[-1].end == end
    assert all(0 <= line.share_of(period) <= 1 for period in periods)
    # Only the first and the last can be cut.
    assert all(line.share_of(period) == 1 for period in periods[1:-1])


@given(line=timelines(), instant=minutes)
@settings(max_examples=60, deadline=None)
def test_the_period_at_an_instant_holds_it(line: Timeline, instant: datetime) -> None:
    period = line.period_at(instant)
    assert (period is not None) == line.is_active_at(instant)
    if period is not None:
        assert period.contains(instant)
        assert line.share_of(period) <= Fraction(1)


@given(data=st.data(), count=st.integers(1, 4), asked=st.lists(minutes, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_what_an_assigner_remembers_never_changes_its_answer(
    data: st.DataObject, count: int, asked: list[datetime]
) -> None:
    lines = [data.draw(timelines(f"sub-{number}")) for number in range(count)]
    assigner = CustomerAssigner(lines)
    remembering = assigner.series("tokens", dimensions={})
    for instant in asked:
        answer = remembering.at(instant)
        assert answer == assigner.assign("tokens", dimensions={}, at=instant)
        active = [line.subscription for line in lines if line.is_active_at(instant)]
        earliest = min(active, key=lambda item: (item.start, item.id), default=None)
        owner = None if answer.timeline is None else answer.timeline.subscription
        assert owner == earliest
        # The answer holds over the whole span that it names.
        last = min(answer.valid_until, datetime(2035, 1, 1, tzinfo=UTC)) - timedelta(minutes=1)
        again = assigner.assign("tokens", dimensions={}, at=max(last, instant))
        assert (again.timeline, again.period) == (answer.timeline, answer.period)


@given(data=st.data(), count=st.integers(1, 4), start=minutes, days=st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_inside_a_constant_span_usage_has_one_owner(
    data: st.DataObject, count: int, start: datetime, days: int
) -> None:
    assigner = CustomerAssigner([data.draw(timelines(f"sub-{n}")) for n in range(count)])
    whole = Period(start, start + timedelta(days=days))
    spans = assigner.constant_spans(whole)
    assert (spans[0].start, spans[-1].end) == (whole.start, whole.end)
    assert all(before.end == after.start for before, after in pairwise(spans))
    for span in spans:
        first = assigner.assign("tokens", dimensions={}, at=span.start)
        last = assigner.assign("tokens", dimensions={}, at=span.end - timedelta(microseconds=1))
        assert first.timeline == last.timeline
