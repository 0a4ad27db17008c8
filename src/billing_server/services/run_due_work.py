"""Work that falls due by itself: start invoices, ended periods. Safe to run late or twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import structlog

from billing_server.domain.ports.customers import DueKey, SubscriptionPeriod
from billing_server.domain.subscription.model import Subscription
from billing_server.services.close_period import close_period
from billing_server.services.context import ServiceContext
from billing_server.services.start_invoice import issue_start_invoice
from billing_server.services.wait_for_agents import closable_periods, latest_close_time

BATCH = 100
"""Entries read at a time: memory is bounded however much is due."""

log = structlog.get_logger(__name__)
Due = TypeVar("Due")


@dataclass(frozen=True, slots=True)
class DueWorkDone:
    """What a run came to."""

    done_count: int
    """Pieces of work that were carried out. >= 0."""
    failed_count: int
    """Pieces that raised; they are logged and stay due. >= 0."""

    def plus(self, other: "DueWorkDone") -> "DueWorkDone":
        """Return the sum of two runs."""
        return DueWorkDone(
            self.done_count + other.done_count, self.failed_count + other.failed_count
        )


def run_due_work(
    context: ServiceContext, *, should_stop: Callable[[], bool] = lambda: False
) -> DueWorkDone:
    """Carry out everything that is due now, in the order in which it fell due.

    A piece of work that fails is logged and passed over, so that one customer never holds up the
    others; it is tried again by the next run. Closing a period opens the next one, which may be due
    as well: the run goes on until nothing more is due.

    Args:
        context: the world.
        should_stop: asked before each piece of work; what is left stays due.
    """
    with context.work_gate:
        total = _run_starts(context, should_stop=should_stop)
        while True:
            done = _run_periods(context, should_stop=should_stop)
            total = total.plus(done)
            if done.done_count == 0:
                return total


def next_due_time(context: ServiceContext, *, after: datetime) -> datetime | None:
    """Return the earliest instant after `after` at which work falls due; None: nothing is."""
    grace = context.settings.grace
    with context.store.read() as unit:
        start = unit.subscriptions.next_start_due(after=after)
        end = unit.billing_periods.next_end(after=after - grace)
        latest = latest_close_time(unit, after=after)
    instants = (start, end + grace if end else None, latest)
    found = [instant for instant in instants if instant is not None]
    return min(found, default=None)


def _run_starts(context: ServiceContext, *, should_stop: Callable[[], bool]) -> DueWorkDone:
    def read(after: DueKey | None) -> Sequence[Subscription]:
        with context.store.read() as unit:
            return unit.subscriptions.starts_due(
                until=context.clock.now(), after=after, limit=BATCH
            )

    return _run_each(
        read,
        key=lambda due: DueKey(due.start, due.id),
        work=lambda due: issue_start_invoice(context, subscription_id=due.id),
        should_stop=should_stop,
    )


def _run_periods(context: ServiceContext, *, should_stop: Callable[[], bool]) -> DueWorkDone:
    def read(after: DueKey | None) -> Sequence[SubscriptionPeriod]:
        with context.store.read() as unit:
            return closable_periods(unit, context=context, after=after, limit=BATCH)

    return _run_each(
        read,
        key=lambda due: DueKey(due.period.end, due.subscription_id),
        work=lambda due: close_period(
            context, subscription_id=due.subscription_id, period_start=due.period.start
        ),
        should_stop=should_stop,
    )


def _run_each(
    read: Callable[[DueKey | None], Sequence[Due]],
    *,
    key: Callable[[Due], DueKey],
    work: Callable[[Due], object],
    should_stop: Callable[[], bool],
) -> DueWorkDone:
    done_count = failed_count = 0
    after: DueKey | None = None
    while batch := read(after):
        for due in batch:
            if should_stop():
                return DueWorkDone(done_count, failed_count)
            after = key(due)
            try:
                work(due)
                done_count += 1
            except Exception:
                failed_count += 1
                log.exception("due_work_failed", subscription_id=after.subscription_id)
    return DueWorkDone(done_count, failed_count)
