"""Work that falls due by itself: start invoices, ended periods. Safe to run late or twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

import structlog

from billing_server.domain.ports.customers import DueKey, SubscriptionPeriod
from billing_server.domain.subscription.model import Subscription
from billing_server.services.close_period import close_period
from billing_server.services.context import DueFailure, ServiceContext
from billing_server.services.due_retries import DueRetries, WorkKey, once_a_run
from billing_server.services.start_invoice import issue_start_invoice
from billing_server.services.wait_for_agents import closable_periods, latest_close_time
from metering.clock import format_instant

BATCH = 100
"""Entries read at a time: memory is bounded however much is due."""
STARTS_AT_ONCE_MAX = 100
"""Start invoices that one call makes itself: a fraction of a second."""

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
    context: ServiceContext,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    retries: DueRetries | None = None,
) -> DueWorkDone:
    """Carry out everything that is due now, in the order in which it fell due.

    A piece of work that fails is logged and passed over, so that one customer never holds up the
    others; it is tried again by a later run. Closing a period opens the next one, which may be due
    as well: the run goes on until nothing more is due.

    Args:
        context: the world; its `on_due_failure` is told of each failure and may raise.
        should_stop: asked before each piece of work; what is left stays due.
        retries: remembers failures over runs, and holds failed work back for a while; None: what
            fails is tried once in this run.
    """
    runner = _Runner(
        context, should_stop=should_stop, retries=once_a_run() if retries is None else retries
    )
    with context.work_gate:
        total = _run_starts(context, runner=runner)
        while True:
            done = _run_periods(context, runner=runner)
            total = total.plus(done)
            if done.done_count == 0:
                return total


def invoice_starts(context: ServiceContext, *, subscription_ids: Sequence[str]) -> None:
    """Invoice the starts of subscriptions that were just made, and leave the rest to the scheduler.

    So a caller sees their first invoices at once, and never waits for periods that ended long ago.
    What fails stays due and is logged where it is tried again.

    Args:
        context: the world; none of its units may be open.
        subscription_ids: the first `STARTS_AT_ONCE_MAX` of them are invoiced here.
    """
    for subscription_id in subscription_ids[:STARTS_AT_ONCE_MAX]:
        try:
            issue_start_invoice(context, subscription_id=subscription_id)
        except Exception:
            log.exception("start_invoice_put_off", subscription_id=subscription_id)
    context.work_added.set()


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


def _run_starts(context: ServiceContext, *, runner: "_Runner") -> DueWorkDone:
    def read(after: DueKey | None) -> Sequence[Subscription]:
        with context.store.read() as unit:
            return unit.subscriptions.starts_due(
                until=context.clock.now(), after=after, limit=BATCH
            )

    return runner.run_each(
        read,
        kind="start",
        key=lambda due: DueKey(due.start, due.id),
        work=lambda due: issue_start_invoice(context, subscription_id=due.id),
    )


def _run_periods(context: ServiceContext, *, runner: "_Runner") -> DueWorkDone:
    def read(after: DueKey | None) -> Sequence[SubscriptionPeriod]:
        with context.store.read() as unit:
            return closable_periods(unit, context=context, after=after, limit=BATCH)

    return runner.run_each(
        read,
        kind="period",
        key=lambda due: DueKey(due.period.end, due.subscription_id),
        work=lambda due: close_period(
            context, subscription_id=due.subscription_id, period_start=due.period.start
        ),
    )


class _Runner:
    """Carries out pieces of work one by one, past those that fail."""

    def __init__(
        self, context: ServiceContext, *, should_stop: Callable[[], bool], retries: DueRetries
    ) -> None:
        self._context = context
        self._should_stop = should_stop
        self._retries = retries

    def run_each(
        self,
        read: Callable[[DueKey | None], Sequence[Due]],
        *,
        kind: str,
        key: Callable[[Due], DueKey],
        work: Callable[[Due], object],
    ) -> DueWorkDone:
        """Work through all that is due, a batch at a time."""
        done_count = failed_count = 0
        after: DueKey | None = None
        while batch := read(after):
            for due in batch:
                if self._should_stop():
                    return DueWorkDone(done_count, failed_count)
                after = key(due)
                work_key = kind, after.subscription_id
                if not self._retries.may_try(work_key):
                    continue
                if self._try(partial(work, due), work_key=work_key, due=after):
                    done_count += 1
                else:
                    failed_count += 1
        return DueWorkDone(done_count, failed_count)

    def _try(self, work: Callable[[], object], *, work_key: WorkKey, due: DueKey) -> bool:
        kind, subscription_id = work_key
        try:
            work()
        except Exception as error:
            log.exception(
                "due_work_failed",
                work=kind,
                subscription_id=subscription_id,
                due_since=format_instant(due.due_time),
                retry_in_seconds=self._retries.note_failure(work_key),
            )
            failure = DueFailure(
                work=kind, subscription_id=subscription_id, due_time=due.due_time, error=error
            )
            self._context.on_due_failure(failure)
            return False
        self._retries.note_success(work_key)
        return True
