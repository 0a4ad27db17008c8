"""A thread that looks, every second, for what falls due by time."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import structlog

from meter_agent.core.quota.lease import Lease
from meter_agent.quota import keeping
from meter_agent.quota.keeping import DUE_COUNT_MAX, Farewells
from meter_agent.quota.pruning import Pruning
from meter_agent.quota.reserving import Counter
from meter_agent.store.group import Ticket
from meter_agent.store.operation import Operation
from metering.errors import MeteringError

TICK_SECONDS: Final = 1.0
PRUNE_TICKS: Final = 10
"""Rows that may go are looked for this rarely."""
STOP_SECONDS: Final = 5.0
COMMIT_SECONDS_MAX: Final = 30.0

_LOG = structlog.get_logger("meter_agent.quota")


class Writing(Protocol):
    """Makes changes durable."""

    def submit(self, operation: Operation) -> None:
        """Queues a change; it is durable once its ticket's wait returns."""
        ...


class Keeper:
    """Lets holds expire and go back, closes leases that ran out, and deletes rows that may go.

    Args:
        counter: What is known.
        writer: Makes changes durable.
        earliest_kept_seq: Tells the lowest position on disk.
        late_us: How long an expired hold is presumed used, microseconds, >= 0.
        is_told: Tells whether the server has heard of a lease as it is now.
        next_seq: Tells the position of the next event; None: leases of windows that never end are
            kept.
    """

    def __init__(
        self,
        counter: Counter,
        *,
        writer: Writing,
        earliest_kept_seq: Callable[[], int],
        late_us: int,
        is_told: Callable[[Lease], bool] = keeping.always_told,
        next_seq: Callable[[], int] | None = None,
    ) -> None:
        self._counter = counter
        self._writer = writer
        self._earliest_kept_seq = earliest_kept_seq
        self._late_us = late_us
        self._is_told = is_told
        self._pruning = Pruning(counter)
        self._farewells = None if next_seq is None else Farewells(next_seq)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="quota-keeper", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def prune(self) -> None:
        """Deletes rows that may go.

        Raises:
            MeteringError: It is not durable.
        """
        while not self._stopping.is_set():
            counts: list[int] = []
            ticket = Ticket()
            self._writer.submit(Operation(run=partial(self._prune, counts), ticket=ticket))
            ticket.wait(COMMIT_SECONDS_MAX)
            if not counts or counts[0] < DUE_COUNT_MAX:
                return

    def tick(self) -> bool:
        """Does what is due; returns whether there was something.

        Raises:
            MeteringError: It is not durable.
        """
        seq, late_us, is_told = self._earliest_kept_seq(), self._late_us, self._is_told
        farewells = self._farewells
        due = keeping.due(
            self._counter,
            late_us=late_us,
            earliest_kept_seq=seq,
            is_told=is_told,
            farewells=farewells,
        )
        if not due:
            return False
        now_us = self._counter.book.clock.wall_us()
        ticket = Ticket()
        operation = Operation(
            run=lambda: keeping.keep(
                due,
                counter=self._counter,
                late_us=late_us,
                earliest_kept_seq=seq,
                is_told=is_told,
                farewells=farewells,
            ),
            ticket=ticket,
            event_count=min(len(due.reservations), DUE_COUNT_MAX),
            receive_time_us=now_us,
            oldest_event_time_us=now_us,
        )
        self._writer.submit(operation)
        ticket.wait(COMMIT_SECONDS_MAX)
        return True

    def _prune(self, into: list[int]) -> None:
        into.append(self._pruning.prune())

    def _run(self) -> None:
        tick_count = 0
        while not self._stopping.wait(TICK_SECONDS):
            tick_count += 1
            try:
                if tick_count % PRUNE_TICKS == 0:
                    self.prune()
                while self.tick() and not self._stopping.is_set():
                    pass  # There may be more than one commit takes.
            except MeteringError as error:
                _LOG.warning("quota_not_kept", reason=error.reason, error=error.message)
            except Exception:  # noqa: BLE001 - without this thread holds would never end
                _LOG.exception("quota_keeper_failed")
