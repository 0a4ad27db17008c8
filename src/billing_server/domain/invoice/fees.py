"""Which fixed fees fall due, when, and for which service period (R63, R64).

A fee in advance falls due when its service begins, a fee in arrears when it ends. The invoice of a
billing period carries what fell due in it and at its end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from billing_server.domain.catalog.model import BillTiming, RecurringPrice
from billing_server.domain.subscription.phase import Segment
from billing_server.domain.subscription.timeline import Timeline


@dataclass(frozen=True, slots=True)
class DueFee:
    """One fee for one service period."""

    price: RecurringPrice
    """The fee, as it stands in the segment."""
    segment: Segment
    """Its service period and the share that it is of a whole one."""
    due_time: datetime
    """From when on it may be invoiced, UTC."""


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
        for fee in _fees_of(timeline, price_key=price_key, start=start, until=until)
        if start <= fee.due_time <= until
    )


def _fees_of(
    timeline: Timeline, *, price_key: str, start: datetime, until: datetime
) -> Iterator[DueFee]:
    period = timeline.period_at(start)
    while period is not None and period.start <= until:
        for segment in timeline.segments_of(price_key, period=period):
            price = segment.price
            if isinstance(price, RecurringPrice):
                is_advance = price.bill is BillTiming.IN_ADVANCE
                yield DueFee(price, segment, segment.span.start if is_advance else period.end)
        period = timeline.next_period(period)
