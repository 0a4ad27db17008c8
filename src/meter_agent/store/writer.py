"""The one writer: a thread that commits whatever is queued as soon as the last commit has ended.

There is no timer: while one commit waits for the disk, the next gathers. Only this thread writes,
and only it checkpoints (a second checkpointing connection meets a known race of SQLite).
"""

import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from meter_agent.core.positions import Positions
from meter_agent.store.admission import AdmissionControl
from meter_agent.store.applied_watch import AppliedWatch
from meter_agent.store.border import Border
from meter_agent.store.commit_times import SLOW_SECONDS, CommitTimes
from meter_agent.store.database import damage_cause, store_error
from meter_agent.store.group import Append, DurableCount, Ticket
from meter_agent.store.items import CommitItem, Damage, Stop, Transition
from meter_agent.store.operation import Ledger, Operation
from meter_agent.store.outbox import (
    SHRINK_FREE_BYTES_MIN,
    SHRINK_FREE_BYTES_SHORT,
    Outbox,
    OutboxState,
)
from meter_agent.store.refused import RefusedEvent
from meter_agent.store.repairer import Repairer
from metering.errors import InvariantError, MeteringError, UnavailableError

COMMIT_EVENT_COUNT_MAX: Final = 5_000
"""Events of one commit; a larger request is the edge's to split."""
COMMIT_ITEM_COUNT_MAX: Final = 5_000
"""Requests of one commit, for those that bring no event."""
IDLE_SECONDS: Final = 2.0
"""How long nothing must happen before the log is emptied and cut."""
QUEUE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes that may wait for a commit: memory stays bounded when the disk stalls."""
QUEUE_FULL_RETRY_SECONDS: Final = 1.0
STOP_SECONDS: Final = 10.0
"""How long a stop waits for the disk."""

_LOG = structlog.get_logger("meter_agent.store")


class Writer:
    """Makes events durable in groups and owns the agent's positions.

    Args:
        outbox: The rows; used by the writer's thread alone, and closed by it.
        admission: Judges what may be committed.
        repairer: Replaces a damaged database; None: damage is told to the callers.
        on_append: Called in the writer's thread after a commit that brought events.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        admission: AdmissionControl,
        on_append: Callable[[], None],
        repairer: Repairer | None = None,
    ) -> None:
        self._repairer = repairer
        self._is_repair_asked = False
        self._outbox = outbox
        self.admission: Final = admission
        self.applied: Final = AppliedWatch()
        self._durable = DurableCount(outbox.state.positions.buffered_count)
        self._on_append = on_append
        self._queue: queue.SimpleQueue[CommitItem | Damage | Stop] = queue.SimpleQueue()
        self._carried: CommitItem | Damage | Stop | None = None
        self._lock = threading.Lock()
        self._queued_bytes = 0
        self._queued_oldest_us: dict[int, int] = {}
        self._is_stopping = False
        self._accepted_count = 0
        self._border = Border(0, outbox.state.positions)
        self._damaged_count = 0
        self._last_error: MeteringError | None = None
        self.commit_times: Final = CommitTimes()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    @property
    def state(self) -> OutboxState:
        """What is durable now."""
        return self._outbox.state

    @property
    def border(self) -> Border:
        """What was accepted and the positions, both of the last commit."""
        return self._border

    @property
    def last_error(self) -> MeteringError | None:
        """Why the last commit failed; None where it went well."""
        return self._last_error

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def keep(self, ledger: Ledger) -> None:
        """Keeps leases and reservations from now on; called before the start.

        Raises:
            MeteringError: They cannot be read.
        """
        self._outbox.keep(ledger)

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
        caller: str = "",
    ) -> Ticket:
        """Queues good events of one request; they are durable once the ticket's wait returns.

        Args:
            events: A serialized `UsageEvents`.
            event_count: Number of events in it, 1 to `COMMIT_EVENT_COUNT_MAX`.
            receive_time_us: When they were received, microseconds since 1970 UTC.
            oldest_event_time_us: Oldest event time among them, microseconds since 1970 UTC.
            caller: Name of the service, for a fair division of the disk budget.

        Raises:
            UnavailableError: SHUTTING_DOWN, or QUEUE_FULL where the disk cannot keep up.
        """
        ticket = Ticket()
        self._put(
            Append(event_count, receive_time_us, oldest_event_time_us, events, ticket, caller)
        )
        return ticket

    def submit(self, operation: Operation) -> None:
        """Queues a change of leases and reservations; it is durable once its ticket's wait returns.

        Raises:
            UnavailableError: As `append`.
        """
        self._put(operation)

    def _put(self, item: Append | Operation) -> None:
        with self._lock:
            self._refuse_when_stopping()
            if self._queued_bytes + len(item.events) > QUEUE_BYTES_MAX:
                raise UnavailableError(
                    reason="QUEUE_FULL",
                    message="the disk cannot keep up with what is recorded; send the events again "
                    "a little later with the same ids",
                    retry_after_seconds=QUEUE_FULL_RETRY_SECONDS,
                )
            self._queued_bytes += len(item.events)
            if item.event_count:
                self._queued_oldest_us[id(item)] = item.oldest_event_time_us
            self._queue.put(item)

    def oldest_queued_event_time_us(self) -> int | None:
        """Returns the oldest event time of what is being made durable; None where nothing is.

        Whoever asks this first and the rows on disk next has seen every event that was received.
        """
        with self._lock:
            return min(self._queued_oldest_us.values(), default=None)

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

    def report_damage(self, cause: str) -> None:
        """Asks for a repair of the database; while one is asked for, it does nothing.

        Args:
            cause: What told of the damage.
        """
        with self._lock:
            if not self._is_repair_asked and not self._is_stopping:
                self._is_repair_asked = True
                self._queue.put(Damage(cause))

    def stop(self) -> None:
        """Commits what is queued, empties the log, closes the connection; idempotent."""
        with self._lock:
            if not self._is_stopping:
                self._queue.put(Stop())
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
        elif isinstance(first, Damage):
            self._repair(first.cause)
        elif isinstance(first, Stop):
            return True
        else:
            self._commit(self._gather(first))
        return False

    def _next_item(self) -> CommitItem | Damage | Stop | None:
        """Returns the next item, or None where nothing came while there is idle work to do."""
        if self._carried is not None:
            item, self._carried = self._carried, None
            return item
        try:
            is_idle_work_due = self._outbox.is_idle_work_due or self.admission.is_work_due
            return self._queue.get(timeout=IDLE_SECONDS if is_idle_work_due else None)
        except queue.Empty:
            return None

    def _gather(self, first: CommitItem) -> list[CommitItem]:
        """Takes what is queued, in order, up to the bounds of one commit."""
        group = [first]
        event_count = 0 if isinstance(first, Transition) else first.event_count
        while event_count < COMMIT_EVENT_COUNT_MAX and len(group) < COMMIT_ITEM_COUNT_MAX:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if isinstance(item, Stop | Damage):
                self._carried = item
                break
            if not isinstance(item, Transition):
                event_count += item.event_count
                if event_count > COMMIT_EVENT_COUNT_MAX:
                    self._carried = item
                    break
            group.append(item)
        return group

    def _commit(self, group: list[CommitItem]) -> None:
        queued = [item for item in group if not isinstance(item, Transition)]
        admitted, refused = self.admission.split(
            queued, kept_bytes=self.state.kept_bytes, free_in_file=self._outbox.free_in_file
        )
        transitions = [item for item in group if isinstance(item, Transition)]
        error = None
        if admitted or transitions or not group:
            error = self._try_commit(admitted, transitions)
        damage = damage_cause(error)
        if damage is not None and self._repair(damage):
            error = self._try_commit(admitted, transitions)
        left = error
        is_full = error is not None and error.reason == "DISK_FULL"
        # What was asked for is refused. With the ballast's room, or the log's once it is moved into
        # the database, what is shipped can still be noted and deleted.
        if is_full and (self.admission.disk_filled() or transitions):
            self._outbox.checkpoint()
            left = self._try_commit([], transitions)
        with self._lock:
            self._queued_bytes -= sum(len(item.events) for item in queued)
            for item in queued:
                self._queued_oldest_us.pop(id(item), None)
        for item, refusal in refused:
            item.ticket.resolve(refusal)
        for item in admitted:
            item.ticket.resolve(error)
        for transition in transitions:
            transition.ticket.resolve(left)
        if error is not None:
            _LOG.error("commit_failed", reason=error.reason, error=error.message)
        elif any(item.event_count for item in admitted):
            self._on_append()
        if self._outbox.is_checkpoint_due:
            self._outbox.checkpoint()
        self.admission.tend()

    def _repair(self, cause: str) -> bool:
        """Puts a new database in the place of a damaged one; returns whether that went well."""
        self._is_repair_asked = False
        waiting_count = self.state.positions.buffered_count
        if self._repairer is None or not self._repairer.repair(self._outbox, cause=cause):
            return False
        self._damaged_count += waiting_count - self.state.positions.buffered_count
        # Who waits for the server cannot know whether its events were among those lost.
        self._durable.total = self.applied.total + self.state.positions.buffered_count
        self.applied.fail(
            UnavailableError(
                reason="DATABASE_REPAIRED",
                message="the agent's database was damaged and is replaced; send the events again "
                "with the same ids",
                retry_after_seconds=QUEUE_FULL_RETRY_SECONDS,
            )
        )
        self._on_append()
        return True

    def _try_commit(
        self, items: Sequence[Append | Operation], transitions: list[Transition]
    ) -> MeteringError | None:
        """Commits; returns what the callers are told where it failed."""
        error: MeteringError
        refused = [item.refused for item in transitions if item.refused is not None]
        self.commit_times.begin()
        try:
            result = self._outbox.commit(
                [item for item in items if isinstance(item, Append)],
                changes=[item.change for item in transitions],
                refused=refused,
                operations=[item for item in items if isinstance(item, Operation)],
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
            self._note_commit(result.appends, refused, seconds=self.commit_times.elapsed())
            for operation, refusal in result.refused:
                operation.ticket.refuse(refusal)
            return None
        self.commit_times.observe_failure()
        self._last_error = error
        return error

    def _note_commit(
        self, appends: Sequence[Append], refused: list[RefusedEvent], *, seconds: float
    ) -> None:
        self._accepted_count += sum(item.event_count for item in appends)
        self._note_totals(appends, refused)
        accepted_count = self._accepted_count + self._outbox.surfaced_count
        self._border = Border(accepted_count, self._outbox.state.positions, self._damaged_count)
        self._last_error = None
        self.commit_times.observe(seconds)
        if seconds >= SLOW_SECONDS:
            _LOG.warning("commit_slow", seconds=round(seconds, 3), request_count=len(appends))

    def _note_totals(self, appends: Sequence[Append], refused: list[RefusedEvent]) -> None:
        self._durable.book(appends, surfaced_count=self._outbox.surfaced_count)
        state = self.state
        applied_total = self._durable.total - state.positions.buffered_count
        for event in refused:  # It is the last one that is done with.
            self.applied.set_aside(applied_total, message=event.message)
        self.applied.advance(applied_total)
        self.admission.committed(
            appends, end_bytes=state.end_bytes, kept_from_bytes=state.kept_from_bytes
        )

    def _rest(self) -> None:
        """Does the idle work: deletes what may go, then empties and cuts the log."""
        if self.state.is_trim_due:
            self._commit([])
        else:
            self._outbox.checkpoint_and_cut()
            is_short = self.admission.is_work_due
            self._outbox.give_space_back(
                free_bytes_min=SHRINK_FREE_BYTES_SHORT if is_short else SHRINK_FREE_BYTES_MIN
            )
        self.admission.tend()
