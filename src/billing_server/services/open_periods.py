"""The periods of a subscription that stand on no invoice yet."""

from collections.abc import Iterator
from datetime import datetime

from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.timeline import Timeline
from metering.period import Period


def open_periods(unit: UnitOfWork, *, timeline: Timeline, now: datetime) -> Iterator[Period]:
    """Walk the periods that have ended and are not invoiced, then the one that has not ended.

    The store knows the oldest of them; the next is written when that one is invoiced. So in the
    grace, and while invoices are behind, usage is counted in periods that have no row yet.

    Args:
        unit: its reads see one state.
        timeline: the subscription.
        now: UTC.
    """
    running = unit.billing_periods.running(timeline.subscription.id)
    period = running[0].period if running else None
    while period is not None:
        yield period
        period = None if period.end > now else timeline.next_period(period)
