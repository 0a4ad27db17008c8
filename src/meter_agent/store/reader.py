"""Reading the buffer: pages of blocks by key, so memory stays the same however long it is."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meter_agent.core.blocks import Block, block_checksum, drop_before, take
from meter_agent.core.positions import Positions
from meter_agent.core.quota.reservation import Reservation
from meter_agent.store.database import is_damage, open_reader, store_error
from meter_agent.store.oldest_event_time import OldestEventTime
from meter_agent.store.quota_rows import page_of_unsettled
from meter_agent.store.refused import COUNT_REFUSED
from metering.errors import MeteringError

_BLOCK_COLUMNS: Final = (
    "first_seq, event_count, receive_time_us, events, oldest_event_time_us, events_crc32"
)
# The block that holds a position is the last one that does not begin after it.
_FROM_POSITION: Final = (
    "first_seq >= COALESCE((SELECT max(first_seq) FROM block WHERE first_seq <= ?), 0)"
)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for the server."""

    bytes: int
    """Bytes of the rows that are not wholly applied, >= 0."""
    oldest_receive_time_us: int | None
    """When the oldest of them was received, microseconds since 1970 UTC; None where none waits."""


class OutboxReader:
    """A read-only connection to the buffer; any thread may use it, one at a time.

    Args:
        path: Of an existing database.
        on_damage: Told why, where the database turns out to be damaged.
    """

    def __init__(self, path: Path, *, on_damage: Callable[[str], None] | None = None) -> None:
        self._path = path
        self._on_damage = on_damage
        self._lock = threading.Lock()
        self._oldest_lock = threading.Lock()
        self._oldest = OldestEventTime()
        self._connection = open_reader(path)

    def close(self) -> None:
        """Closes the connection; a long read of another thread ends with an error."""
        with contextlib.suppress(sqlite3.ProgrammingError):
            self._connection.interrupt()
        with self._lock:
            self._connection.close()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Closes the connection for as long as the block runs: the file may be replaced there."""
        with self._lock:
            self._connection.close()
            try:
                yield
            finally:
                self._connection = open_reader(self._path)

    def check(self) -> str:
        """Reads the structure of the whole database; returns what is wrong with it, or "".

        Raises:
            MeteringError: The database cannot be read.
        """
        with self._lock:
            try:
                [found] = self._connection.execute("PRAGMA quick_check(1)").fetchone()
            except sqlite3.Error as error:
                if is_damage(error):
                    return str(error)
                raise self._error(error) from error
        return "" if found == "ok" else str(found)

    def page(self, *, first_seq: int, event_count_max: int, bytes_max: int) -> list[Block]:
        """Returns the blocks from a position on, without a hole, within both bounds.

        There is at least one event where there is one at all, whatever its size.

        Args:
            first_seq: Position of the first event wanted.
            event_count_max: Bound of events, >= 1.
            bytes_max: Bound of the blocks' bytes, >= 1.

        Raises:
            MeteringError: The database cannot be read.
        """
        page: list[Block] = []
        with self._lock:
            try:
                cursor = self._connection.execute(
                    f"SELECT {_BLOCK_COLUMNS} FROM block WHERE {_FROM_POSITION} ORDER BY first_seq",
                    (first_seq,),
                )
                try:
                    _fill(page, cursor, first_seq, event_count_max, bytes_max)
                finally:
                    cursor.close()
            except sqlite3.Error as error:
                raise self._error(error) from error
        return page

    def oldest_event_time_us(self, *, first_seq: int) -> int | None:
        """Returns the oldest event time from a position on; None where there is no event.

        Events of a block that is applied in part count with the rest of their block.

        Raises:
            MeteringError: The database cannot be read.
        """
        with self._oldest_lock:
            return self._oldest.find(self._one_number, first_seq=first_seq)

    def backlog(self, positions: Positions) -> Backlog:
        """Returns what is not applied yet.

        Raises:
            MeteringError: The database cannot be read.
        """
        first_seq = positions.applied_seq + 1
        where = f"{_FROM_POSITION} AND first_seq + event_count > ?"
        oldest = self._one_number(
            f"SELECT receive_time_us FROM block WHERE {where} ORDER BY first_seq LIMIT 1",
            (first_seq, first_seq),
        )
        start = self._one_number(
            f"SELECT end_bytes - LENGTH(events) FROM block WHERE {where} "
            "ORDER BY first_seq LIMIT 1",
            (first_seq, first_seq),
        )
        end = self._one_number("SELECT end_bytes FROM block ORDER BY first_seq DESC LIMIT 1", ())
        if start is None or end is None:
            return Backlog(bytes=0, oldest_receive_time_us=None)
        return Backlog(bytes=end - start, oldest_receive_time_us=oldest)

    def oldest_kept_time_us(self) -> int | None:
        """Returns when the oldest event on disk was received, applied or not; None: none is there.

        Raises:
            MeteringError: The database cannot be read.
        """
        return self._one_number("SELECT receive_time_us FROM block ORDER BY first_seq LIMIT 1", ())

    def refused_count(self) -> int:
        """Returns how many events were set aside because the server refuses them.

        Raises:
            MeteringError: The database cannot be read.
        """
        return self._one_number(COUNT_REFUSED, ()) or 0

    def unsettled(self, after_id: str, row_count_max: int) -> list[Reservation]:
        """Returns reservations that expired and that nobody ended, in the order of their ids.

        Args:
            after_id: The last one of the page before; empty: the first page.
            row_count_max: Most rows, >= 1.

        Raises:
            MeteringError: The database cannot be read.
        """
        with self._lock:
            try:
                return page_of_unsettled(
                    self._connection, after_id=after_id, row_count_max=row_count_max
                )
            except sqlite3.Error as error:
                raise self._error(error) from error

    def _one_number(self, sql: str, parameters: tuple[int, ...]) -> int | None:
        with self._lock:
            try:
                row = self._connection.execute(sql, parameters).fetchone()
            except sqlite3.Error as error:
                raise self._error(error) from error
        return None if row is None else int(row[0])

    def _error(self, error: sqlite3.Error) -> MeteringError:
        if self._on_damage is not None and is_damage(error):
            self._on_damage(str(error))
        return store_error(error, path=self._path)


def _damage(block: Block) -> sqlite3.Error:
    error = sqlite3.DatabaseError(f"the block at position {block.first_seq} fails its checksum")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _fill(
    page: list[Block],
    cursor: sqlite3.Cursor,
    first_seq: int,
    event_count_max: int,
    bytes_max: int,
) -> None:
    event_count = size = 0
    for *columns, oldest_event_time_us, crc32 in cursor:
        block = Block(*columns)
        if crc32 is not None and crc32 != block_checksum(
            block.first_seq,
            block.event_count,
            block.receive_time_us,
            oldest_event_time_us,
            events=block.events,
        ):
            raise _damage(block)
        if block.last_seq < first_seq:
            continue
        block = drop_before(block, seq=first_seq)
        if page and (
            event_count + block.event_count > event_count_max
            or size + len(block.events) > bytes_max
        ):
            return
        taken = take(block, event_count_max=event_count_max, bytes_max=bytes_max)
        page.append(taken)
        if taken is not block:
            return  # The next block would leave a hole.
        event_count += block.event_count
        size += len(block.events)
        if event_count >= event_count_max or size >= bytes_max:
            return
