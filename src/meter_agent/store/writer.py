"""The one writer: a thread that commits whatever is queued as soon as the last commit has ended.

There is no timer: while one commit waits for the disk, the next gathers. Only this thread writes,
and only it checkpoints (a second checkpointing connection meets a known race of SQLite).
"""

import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from meter_agent.core.positions import Positions
from meter_agent.store.database import store_error
from meter_agent.store.group import Append, Ticket
from meter_agent.store.outbox import Outbox, OutboxState
from meter_agent.store.refused import RefusedEvent
from metering.errors import InvariantError, MeteringError, QuotaExceededError, UnavailableError

COMMIT_EVENT_COUNT_MAX: Final = 5_000
"""Events of one commit; a larger request is the edge's to split."""
IDLE_SECONDS: Final = 2.0
"""How long nothing must happen before the log is emptied and cut."""
QUEUE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes that may wait for a commit: memory stays bounded when the disk stalls."""
BUFFER_FULL_RETRY_SECONDS: Final = 5.0
QUEUE_FULL_RETRY_SECONDS: Final = 1.0
STOP_SECONDS: Final = 10.0
"""How long a stop waits for the disk."""

_LOG = structlog.get_logger("meter_agent.store")


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of the positions that takes part in the next commit."""

    change: Callable[[Positions], Positions]
    """Pure; called in the writer's thread."""
    ticket: Ticket
    """Where the caller waits."""
    refused: RefusedEvent | None = None
    """An event that is set aside by the change."""


class _Stop:
    """Ends the writer's thread when it comes out of the queue."""


class Writer:
    """Makes events durable in groups and owns the agent's positions.

    Args:
        outbox: The rows; used by the writer's thread alone, and closed by it.
        budget_bytes: Bytes of rows that may lie on disk, >= 1.
        on_append: Called in the writer's thread after a commit that brought events.
    """

    def __init__(self, outbox: Outbox, *, budget_bytes: int, on_append: Callable[[], None]) -> None:
        self._outbox = outbox
        self._budget_bytes = budget_bytes
        self._on_append = on_append
        self._queue: queue.SimpleQueue[Append | Transition | _Stop] = queue.SimpleQueue()
        self._carried: Append | Transition | _Stop | None = None
        self._lock = threading.Lock()
        self._queued_bytes = 0
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    @property
    def state(self) -> OutboxState:
        """What is durable now."""
        return self._outbox.state

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def append(
        self,
        events: bytes,
        *,
        event_count: int,
        receive_time_us: int,
        oldest_event_time_us: int,
    ) -> Ticket:
        """Queues good events of one request; they are durable once the ticket's wait returns.

        Args:
            events: A serialized `UsageEvents`.
            event_count: Number of events in it, 1 to `COMMIT_EVENT_COUNT_MAX`.
            receive_time_us: When they were received, microseconds since 1970 UTC.
            oldest_event_time_us: Oldest event time among them, microseconds since 1970 UTC.

        Raises:
            UnavailableError: SHUTTING_DOWN, or QUEUE_FULL where the disk cannot keep up.
        """
        ticket = Ticket()
        item = Append(event_count, receive_time_us, oldest_event_time_us, events, ticket)
        with self._lock:
            self._refuse_when_stopping()
            if self._queued_bytes + len(events) > QUEUE_BYTES_MAX:
                raise UnavailableError(
                    reason="QUEUE_FULL",
                    message="the disk cannot keep up with what is recorded; send the events again "
                    "a little later with the same ids",
                    retry_after_seconds=QUEUE_FULL_RETRY_SECONDS,
                )
            self._queued_bytes += len(events)
            self._queue.put(item)
        return ticket

    def change(
        self, change: Callable[[Positions], Positions], *, refused: RefusedEvent | None = None
    ) -> Positions:
        """Applies a pure change to the positions, durably, and returns the new ones.

        Args:
            change: Called in the writer's thread.
            refused: An event to set aside in the same commit.

        Raises:
            MeteringError: The disk did not take it; the positions are as they were.
        """
        ticket = Ticket()
        with self._lock:
            self._refuse_when_stopping()
            self._queue.put(Transition(change, ticket, refused))
        ticket.wait()
        return self.state.positions

    def stop(self) -> None:
        """Commits what is queued, empties the log, closes the connection; idempotent."""
        with self._lock:
            if not self._is_stopping:
                self._queue.put(_Stop())
            self._is_stopping = True
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _refuse_when_stopping(self) -> None:
        if self._is_stopping:
            raise UnavailableError(
                reason="SHUTTING_DOWN",
                message="the agent is stopping; send the events again with the same ids",
                retry_after_seconds=QUEUE_FULL_RETRY_SECONDS,
            )

    def _run(self) -> None:
        is_over = False
        while not is_over:
            try:
                is_over = self._turn()
            except Exception:  # noqa: BLE001 - without this thread nothing is ever durable again
                _LOG.exception("writer_failed")
        self._outbox.close()

    def _turn(self) -> bool:
        """Does the next thing that is due; returns whether it was the last."""
        first = self._next_item()
        if first is None:
            self._rest()
        elif isinstance(first, _Stop):
            return True
        else:
            self._commit(self._gather(first))
        return False

    def _next_item(self) -> Append | Transition | _Stop | None:
        """Returns the next item, or None where nothing came while there is idle work to do."""
        if self._carried is not None:
            item, self._carried = self._carried, None
            return item
        try:
            return self._queue.get(timeout=IDLE_SECONDS if self._outbox.is_idle_work_due else None)
        except queue.Empty:
            return None

    def _gather(self, first: Append | Transition) -> list[Append | Transition]:
        """Takes what is queued, in order, up to the bound of one commit."""
        group = [first]
        event_count = first.event_count if isinstance(first, Append) else 0
        while event_count < COMMIT_EVENT_COUNT_MAX:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if isinstance(item, _Stop):
                self._carried = item
                break
            if isinstance(item, Append):
                event_count += item.event_count
                if event_count > COMMIT_EVENT_COUNT_MAX:
                    self._carried = item
                    break
            group.append(item)
        return group

    def _commit(self, group: list[Append | Transition]) -> None:
        queued = [item for item in group if isinstance(item, Append)]
        appends, refused = self._within_budget(queued)
        transitions = [item for item in group if isinstance(item, Transition)]
        error = None
        if appends or transitions or not group:
            error = self._try_commit(appends, transitions)
        with self._lock:
            self._queued_bytes -= sum(len(item.events) for item in queued)
        for item in appends:
            item.ticket.resolve(error)
        for transition in transitions:
            transition.ticket.resolve(error)
        for item in refused:
            item.ticket.resolve(self._buffer_full())
        if error is not None:
            _LOG.error("commit_failed", reason=error.reason, error=error.message)
        elif appends:
            self._on_append()
        if self._outbox.is_checkpoint_due:
            self._outbox.checkpoint()

    def _try_commit(
        self, appends: list[Append], transitions: list[Transition]
    ) -> MeteringError | None:
        """Commits; returns what the callers are told where it failed."""
        error: MeteringError
        try:
            self._outbox.commit(
                appends,
                changes=[item.change for item in transitions],
                refused=[item.refused for item in transitions if item.refused is not None],
            )
        except sqlite3.Error as sqlite_error:
            self._outbox.recover(sqlite_error)
            error = store_error(sqlite_error, path=self._outbox.path)
        except MeteringError as metering_error:
            self._outbox.recover(metering_error)
            error = metering_error
        except Exception as bug:  # noqa: BLE001 - whatever it is, the callers must be let go
            self._outbox.recover(bug)
            error = InvariantError(reason="COMMIT_FAILED", message=f"a commit failed: {bug!r}")
        else:
            return None
        return error

    def _within_budget(self, appends: list[Append]) -> tuple[list[Append], list[Append]]:
        """Returns what fits the disk budget, and what would pass it."""
        room = self._budget_bytes - self.state.kept_bytes
        taken: list[Append] = []
        refused: list[Append] = []
        for item in appends:
            if len(item.events) <= room:
                room -= len(item.events)
                taken.append(item)
            else:
                refused.append(item)
        return taken, refused

    def _buffer_full(self) -> QuotaExceededError:
        return QuotaExceededError(
            reason="BUFFER_FULL",
            message=f"the buffer has reached its budget of {self._budget_bytes} bytes, nothing was "
            "recorded: the server is away or too slow (see meter-agent status); bring it back, or "
            "raise --disk-budget-bytes",
            metadata={"budget_bytes": str(self._budget_bytes)},
            retry_after_seconds=BUFFER_FULL_RETRY_SECONDS,
        )

    def _rest(self) -> None:
        """Does the idle work: deletes what may go, then empties and cuts the log."""
        if self.state.is_trim_due:
            self._commit([])
        else:
            self._outbox.checkpoint_and_cut()
