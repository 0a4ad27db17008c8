"""The rows of the buffer and the agent's positions: one transaction each time.

Used by the writer's thread alone; readers go through `store.reader`.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from meter_agent.core import positions as core
from meter_agent.core.positions import Positions
from meter_agent.core.retention import Retention
from meter_agent.store import database
from meter_agent.store.group import INSERT_ROW, Append, checked_row, rows_from_appends
from meter_agent.store.operation import CommitResult, Ledger, Operation, run_all
from meter_agent.store.refused import RefusedEvent, insert_refused

CHECKPOINT_BYTES: Final = 4 * 1024 * 1024
"""Size of the log at which the writer checkpoints."""
TRIM_ROW_COUNT_MAX: Final = 1_000
"""Rows deleted in one commit, so that no caller waits long for a clean-up."""
TRIM_BYTES_MAX: Final = 8 * 1024 * 1024
"""Bytes deleted in one commit, for the same reason."""
SHRINK_KEPT_BYTES_MAX: Final = 4 * 1024 * 1024
"""Bytes of rows up to which a file is rewritten to shrink it."""
SHRINK_FREE_BYTES_MIN: Final = 16 * 1024 * 1024
"""Bytes that this must give back, as long as the disk has room."""
SHRINK_FREE_BYTES_SHORT: Final = 1024 * 1024
"""Bytes that this must give back where room is missing."""

# What a commit writes beside its events: a leaf of the table, one of the index, the state's row.
_COMMIT_OVERHEAD_BYTES: Final = 3 * database.PAGE_BYTES
# What a changed row of a lease or a reservation writes: a leaf and its share of an index.
_ROW_OVERHEAD_BYTES: Final = database.PAGE_BYTES
_LOG = structlog.get_logger("meter_agent.store")


@dataclass(frozen=True, slots=True)
class OutboxState:
    """What is durable: replaced whole after each commit, so any thread may read it."""

    positions: Positions
    """The agent's place in the stream."""
    end_bytes: int
    """Bytes of all rows ever written."""
    kept_from_bytes: int
    """Of these, bytes of rows that were deleted."""
    is_trim_due: bool
    """Whether rows may be waiting to be deleted."""

    @property
    def kept_bytes(self) -> int:
        """Bytes of the rows on disk."""
        return self.end_bytes - self.kept_from_bytes


class Outbox:
    """The writing side of the buffer.

    Args:
        path: Of an existing database, see `database.open_writer`.
        connection: Its writing connection; the outbox closes it.

    Raises:
        MeteringError: DATABASE_DAMAGED or DATABASE_UNAVAILABLE; the connection is closed.
    """

    def __init__(self, path: Path, *, connection: sqlite3.Connection) -> None:
        self.path: Final = path
        self._connection = connection
        self._is_reopen_needed = False
        self.retention: Retention | None = None
        """How long rows that may go are kept for a replay; None: not at all."""
        self.now_us: Callable[[], int] = lambda: time.time_ns() // 1000
        """The present, microseconds since 1970 UTC."""
        self.is_disk_short: Callable[[], bool] = lambda: False
        """Whether room is needed more than a replay."""
        self._ledger: Ledger | None = None
        self._applied_end_bytes = 0
        self.surfaced_count = 0
        """Events of commits that seemed to have failed and were found on disk all the same."""
        self._log_bytes = CHECKPOINT_BYTES  # An inherited log is emptied at the first chance.
        try:
            self._state = self._load_state()
        except sqlite3.Error as error:
            connection.close()
            raise database.store_error(error, path=path) from error

    @property
    def state(self) -> OutboxState:
        """What is durable now."""
        return self._state

    @property
    def is_checkpoint_due(self) -> bool:
        """Whether the log has grown to its bound."""
        return self._log_bytes >= CHECKPOINT_BYTES

    @property
    def is_idle_work_due(self) -> bool:
        """Whether there is something to do when nothing comes."""
        return self._log_bytes > 0 or self._state.is_trim_due

    def keep(self, ledger: Ledger) -> None:
        """Keeps leases and reservations from now on: their rows take part in each commit.

        Raises:
            MeteringError: They cannot be read.
        """
        try:
            ledger.load(self._connection)
        except sqlite3.Error as error:
            raise database.store_error(error, path=self.path) from error
        self._ledger = ledger

    def commit(
        self,
        appends: Sequence[Append],
        *,
        changes: Sequence[Callable[[Positions], Positions]] = (),
        refused: Sequence[RefusedEvent] = (),
        operations: Sequence[Operation] = (),
    ) -> CommitResult:
        """Makes events and changes of the positions durable together; deletes what may go.

        Raises:
            sqlite3.Error: Nothing became durable, as far as can be known; see `recover`.
        """
        if self._is_reopen_needed:
            self._reopen()
        state, connection = self._state, self._connection
        positions, end_bytes = state.positions, state.end_bytes
        connection.execute("BEGIN IMMEDIATE")
        if self._ledger is not None:
            self._ledger.begin(connection)
        result = run_all(operations, appends)
        appends = result.appends
        rows = rows_from_appends(appends, next_seq=positions.next_seq, end_bytes=end_bytes)
        if rows:
            connection.executemany(INSERT_ROW, [checked_row(row) for row in rows])
            end_bytes = rows[-1][4]
            event_count = sum(item.event_count for item in appends)
            positions = core.appended(positions, event_count=event_count)
        for event in refused:
            insert_refused(connection, event)
        for change in changes:
            positions = change(positions)
        if changes:
            database.store_positions(connection, positions)
        written_count = 0
        if self._ledger is not None:
            written_count = self._ledger.write(last_seq=positions.next_seq - 1)
        after = replace(state, positions=positions, end_bytes=end_bytes)
        is_room_needed = self._is_replay_too_large(
            kept_from_bytes=state.kept_from_bytes, end_bytes=end_bytes
        )
        if state.is_trim_due or changes or is_room_needed:
            after = self._trim(after)
        connection.execute("COMMIT")
        if self._ledger is not None:
            self._ledger.committed()
        self._log_bytes += end_bytes - state.end_bytes + _COMMIT_OVERHEAD_BYTES
        self._log_bytes += written_count * _ROW_OVERHEAD_BYTES
        self._state = after
        return result

    def append_all(self, appends: Iterable[Append]) -> None:
        """Makes events durable in one commit, however many: the database spills them to the log.

        Raises:
            sqlite3.Error: Nothing became durable; see `recover`.
        """
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        next_seq, end_bytes = self._state.positions.next_seq, self._state.end_bytes
        try:
            for append in appends:
                [row] = rows_from_appends([append], next_seq=next_seq, end_bytes=end_bytes)
                connection.execute(INSERT_ROW, checked_row(row))
                next_seq += append.event_count
                end_bytes = row[4]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._log_bytes = CHECKPOINT_BYTES
        self._state = self._load_state()

    def checkpoint(self) -> None:
        """Moves the log into the database, as far as readers let it."""
        result = self._run_checkpoint("PASSIVE")
        if result is None:
            self._log_bytes = 0
            return
        busy, log_pages, moved_pages = result
        # Where a reader held some pages back, try again after another quarter.
        is_whole = not busy and log_pages == moved_pages
        self._log_bytes = 0 if is_whole else CHECKPOINT_BYTES * 3 // 4

    def checkpoint_and_cut(self) -> None:
        """Moves the log into the database and gives its space back."""
        self._run_checkpoint("TRUNCATE")
        self._log_bytes = 0

    def free_in_file(self) -> int:
        """Returns the bytes of the database's free pages, which new rows use first."""
        try:
            [pages] = self._connection.execute("PRAGMA freelist_count").fetchone()
        except sqlite3.Error:
            return 0
        return int(pages) * database.PAGE_BYTES

    def give_space_back(self, *, free_bytes_min: int = SHRINK_FREE_BYTES_MIN) -> None:
        """Shrinks a file that is nearly empty, so that others can use the disk again.

        It costs what is kept, so that it is done only where this is little.

        Args:
            free_bytes_min: Bytes that it must give back.
        """
        if self._state.kept_bytes > SHRINK_KEPT_BYTES_MAX or self._is_reopen_needed:
            return
        if self.free_in_file() < free_bytes_min:
            return
        try:
            self._connection.execute("PRAGMA temp_store = MEMORY").fetchall()
            self._connection.execute("VACUUM")
        except sqlite3.Error as error:
            _LOG.warning("shrinking_failed", error=str(error), path=str(self.path))
            return
        self.checkpoint_and_cut()

    def recover(self, error: BaseException) -> None:
        """Brings the connection back to the last commit after one that failed."""
        if self._ledger is not None:
            self._ledger.rolled_back()
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as rollback_error:
            _LOG.warning("rollback_failed", error=str(rollback_error))
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            self._log_bytes = CHECKPOINT_BYTES  # The log's own space may be what is missing.
            self._state = replace(self._state, is_trim_due=True)
        else:
            # After a failed sync the fate of the log's pages is unknown: a new connection takes
            # what can be read of it into the database, and begins the log anew.
            self._is_reopen_needed = True

    def suspend(self) -> None:
        """Closes the connection, so that the file may be replaced; see `resume`."""
        self._connection.close()
        self._is_reopen_needed = True

    def resume(self) -> None:
        """Opens the file that is there now; a session must be opened anew.

        Raises:
            sqlite3.Error: It cannot be read; the next commit tries again.
            MeteringError: As above.
        """
        self._reopen()
        positions = replace(self._state.positions, session_no=0)
        self._state = replace(self._state, positions=positions)

    def close(self) -> None:
        """Empties the log and closes the connection."""
        self.checkpoint_and_cut()
        self._connection.close()

    def _trim(self, state: OutboxState) -> OutboxState:
        """Deletes rows that are applied and safe, oldest first, within the bounds of one commit."""
        deletable_seq = state.positions.deletable_seq
        if state.positions.earliest_kept_seq > deletable_seq:
            return replace(state, is_trim_due=False)
        self._applied_end_bytes = self._end_bytes_of(state.positions.applied_seq)
        doomed, is_trim_due = self._doomed(state, deletable_seq=deletable_seq)
        if not doomed:
            return replace(state, is_trim_due=False)
        earliest_kept_seq, kept_from_bytes = doomed[-1]
        self._connection.execute("DELETE FROM block WHERE first_seq < ?", (earliest_kept_seq,))
        return replace(
            state,
            positions=core.deleted(state.positions, earliest_kept_seq=earliest_kept_seq),
            kept_from_bytes=kept_from_bytes,
            is_trim_due=is_trim_due,
        )

    def _doomed(
        self, state: OutboxState, *, deletable_seq: int
    ) -> tuple[list[tuple[int, int]], bool]:
        """Returns what goes now, as (next position, end of its bytes), and whether more is due."""
        doomed: list[tuple[int, int]] = []
        bytes_max = state.kept_from_bytes + TRIM_BYTES_MAX
        kept_from_bytes = state.kept_from_bytes
        cursor = self._connection.execute(
            "SELECT first_seq + event_count, end_bytes, receive_time_us FROM block "
            "WHERE first_seq <= ? ORDER BY first_seq",
            (deletable_seq,),
        )
        try:
            for next_seq, end_bytes, receive_time_us in cursor:
                # A row that is applied in part only stays whole.
                if next_seq - 1 > deletable_seq or self._is_kept(
                    receive_time_us, kept_from_bytes=kept_from_bytes, end_bytes=state.end_bytes
                ):
                    break
                if doomed and (len(doomed) == TRIM_ROW_COUNT_MAX or end_bytes > bytes_max):
                    return doomed, True
                doomed.append((next_seq, end_bytes))
                kept_from_bytes = end_bytes
        finally:
            cursor.close()
        return doomed, False

    def _is_kept(self, receive_time_us: int, *, kept_from_bytes: int, end_bytes: int) -> bool:
        """Whether the oldest row that is left is kept for a replay."""
        if self.retention is None or self.is_disk_short():
            return False
        if self.retention.is_over(receive_time_us=receive_time_us, now_us=self.now_us()):
            return False
        return not self._is_replay_too_large(kept_from_bytes=kept_from_bytes, end_bytes=end_bytes)

    def _is_replay_too_large(self, *, kept_from_bytes: int, end_bytes: int) -> bool:
        if self.retention is None:
            return False
        allowed = self.retention.replay_bytes_max(
            unapplied_bytes=max(0, end_bytes - self._applied_end_bytes)
        )
        return self._applied_end_bytes - kept_from_bytes > allowed

    def _end_bytes_of(self, seq: int) -> int:
        """Returns the bytes of all rows up to the one that holds a number."""
        row = self._connection.execute(
            "SELECT end_bytes FROM block WHERE first_seq <= ? ORDER BY first_seq DESC LIMIT 1",
            (seq,),
        ).fetchone()
        return 0 if row is None else int(row[0])

    def _run_checkpoint(self, mode: str) -> tuple[int, int, int] | None:
        try:
            row: tuple[int, int, int] = self._connection.execute(
                f"PRAGMA wal_checkpoint({mode})"
            ).fetchone()
        except sqlite3.Error as error:
            _LOG.warning("checkpoint_failed", error=str(error), path=str(self.path))
            return None
        return row

    def _reopen(self) -> None:
        self._connection.close()
        self._connection = database.connect_writer(self.path)
        self._empty_log()
        session_no = self._state.positions.session_no
        state = self._load_state()
        surfaced_count = state.positions.next_seq - self._state.positions.next_seq
        self.surfaced_count += max(0, surfaced_count)
        positions = replace(state.positions, session_no=session_no)
        self._state = replace(state, positions=positions)
        if self._ledger is not None:
            self._ledger.load(self._connection)
        self._is_reopen_needed = False
        self._log_bytes = CHECKPOINT_BYTES

    def _empty_log(self) -> None:
        """Moves the whole log into the database, or takes nothing.

        A sync that failed may have left pages that the kernel holds for written. A later sync does
        not bring them to the disk; the next start would end reading the log there, and lose every
        commit behind them.

        Raises:
            sqlite3.Error: It could not be done now; the next commit tries again.
        """
        [is_busy, *_] = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if is_busy:
            busy = sqlite3.OperationalError("the log cannot be emptied while it is read")
            busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise busy

    def _load_state(self) -> OutboxState:
        positions = database.load_positions(self._connection)
        end_bytes, kept_from_bytes = self._connection.execute(
            "SELECT COALESCE((SELECT end_bytes FROM block ORDER BY first_seq DESC LIMIT 1), 0), "
            "COALESCE((SELECT end_bytes - LENGTH(events) FROM block ORDER BY first_seq LIMIT 1), 0)"
        ).fetchone()
        return OutboxState(positions, end_bytes, kept_from_bytes, is_trim_due=True)
