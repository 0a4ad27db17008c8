"""Which fixed fees fall due, when, and for which service period (R63, R64).

A fee in advance falls due when its service begins, a fee in arrears when it ends, a one-time fee at
the start. The invoice of a billing period carries what fell due in it and at its end.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from typing import Final

from billing_server.domain.catalog.model import BillTiming, OneTimePrice, RecurringPrice
from billing_server.domain.subscription.phase import Segment
from billing_server.domain.subscription.timeline import Timeline, share_of_period
from metering.period import Period

NEVER: Final = datetime.max.replace(tzinfo=UTC)
WHOLE: Final = Fraction(1)


@dataclass(frozen=True, slots=True)
class DueFee:
    """One fee for one service period."""

    price: RecurringPrice | OneTimePrice
    """The fee, as it stands in the segment."""
    segment: Segment
    """Its service period and the share that it is of a whole one."""
    due_time: datetime
    """From when on it may be invoiced, UTC."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A span in which a fee applies and falls due by one rule, whatever its amount."""

    price: RecurringPrice | OneTimePrice
    """The fee at its beginning."""
    start: datetime
    """First instant."""
    end: datetime
    """First instant after it; NEVER: open."""
    is_from_addon: bool
    """Whether an add-on brings it."""

    def continues(self, other: "_Stretch") -> bool:
        """Tells whether this follows another one and falls due by the same rule."""
        return self.start == other.end and _timing(self.price) == _timing(other.price)


def fees_due(timeline: Timeline, *, start: datetime, until: datetime) -> tuple[DueFee, ...]:
    """Returns the fees that fall due in a span of time, both ends included, by price.

    Args:
        timeline: of the subscription.
        start: UTC.
        until: UTC.
    """
    return tuple(
        fee
        for price_key in timeline.price_keys
        for stretch in _stretches(timeline, price_key=price_key)
        for fee in _fees_of(timeline, stretch=stretch, start=start, until=until)
        if start <= fee.due_time <= until
    )


def _stretches(timeline: Timeline, *, price_key: str) -> list[_Stretch]:
    found: list[_Stretch] = []
    end = timeline.subscription.end or NEVER
    borders = [*(phase.start for phase in timeline.phases), end]
    for phase, (phase_start, phase_end) in zip(timeline.phases, pairwise(borders), strict=True):
        price = phase.price(price_key)
        if not isinstance(price, RecurringPrice | OneTimePrice):
            continue
        stretch = _Stretch(price, phase_start, phase_end, price_key in phase.addon_prices)
        if found and stretch.continues(found[-1]):
            found[-1] = replace(found[-1], end=phase_end)
        else:
            found.append(stretch)
    return found


def _timing(price: RecurringPrice | OneTimePrice) -> object:
    return None if isinstance(price, OneTimePrice) else (price.bill, price.billing_period)


def _fees_of(
    timeline: Timeline, *, stretch: _Stretch, start: datetime, until: datetime
) -> Iterator[DueFee]:
    price = stretch.price
    if isinstance(price, OneTimePrice):
        # A version that is moved to brings no start; an add-on does, whenever it is added.
        if stretch.start == timeline.subscription.start or stretch.is_from_addon:
            yield from _one_time_fee(timeline, price=price, at=stretch.start)
        return
    cycle = timeline.cycle_of(price)
    whole = cycle.whole_period_at(max(stretch.start, start))
    if whole.start > stretch.start:
        # The one before ends where this one begins: its fee in arrears falls due there.
        whole = cycle.whole_period_at(max(stretch.start, _before(whole.start)))
    while whole.start <= until and whole.start < stretch.end:
        span = Period(max(whole.start, stretch.start), min(whole.end, stretch.end))
        if price.bill is BillTiming.IN_ADVANCE:
            yield from _advance_fee(timeline, price_key=price.key, span=span)
        else:
            for segment in timeline.segments_of(price.key, period=span, cycle=cycle):
                if isinstance(segment.price, RecurringPrice):
                    yield DueFee(segment.price, segment, span.end)
        whole = cycle.whole_period_at(whole.end)


def _before(instant: datetime) -> datetime:
    return instant - datetime.resolution


def _one_time_fee(timeline: Timeline, *, price: OneTimePrice, at: datetime) -> Iterator[DueFee]:
    period = timeline.period_at(at)
    if period is not None:
        version = timeline.plan_at(at).version
        segment = Segment(price, 0, Period(at, period.end), WHOLE, version)
        yield DueFee(price, segment, at)


def _advance_fee(timeline: Timeline, *, price_key: str, span: Period) -> Iterator[DueFee]:
    """Yields the fee of a span by the terms at its beginning: it was charged by them."""
    plan = timeline.plan_at(span.start)
    price = next((price for price in plan.prices if price.key == price_key), None)
    if isinstance(price, RecurringPrice):
        share = share_of_period(span, plan=plan, cycle=timeline.cycle_of(price))
        yield DueFee(price, Segment(price, 0, span, share, plan.version), span.start)
