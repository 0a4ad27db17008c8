"""What can still be read of a damaged database: whole blocks, by ranges of their keys."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError

from meter_agent.core.blocks import block_checksum
from metering.api.v1.ingest_pb2 import UsageEvents

KEY_BITS: Final = 63
KEY_MAX: Final = (1 << KEY_BITS) - 1
READ_FAILURE_COUNT_MAX: Final = 20_000
"""Reads that may fail before the ranges that are tried grow coarse: the work stays bounded."""
EVENT_BYTES_MIN: Final = 8
"""No event is smaller: a block that says it has more events is damaged."""
COARSER_COUNT: Final = 500
"""Failed reads after which the positions that are then given up together are doubled."""

SalvagedRow = dict[str, Any]
"""One row of `block`, by the names of its columns."""


class BlockSalvage:
    """Reads the blocks of a damaged database in the order of their positions.

    It reads forward; where a read fails, it halves the range of keys that is left until the parts
    that can be read are separated from those that cannot. A block whose checksum does not hold, or
    that is no run of as many events as it says, counts as unreadable.

    Args:
        path: Of the database, with its log beside it.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        # Looks harder at each page, so that a damaged one is told instead of read wrongly.
        self._connection.execute("PRAGMA cell_size_check = ON")
        self._failure_count = 0
        self._bad_count = 0
        self._last_first_seq: int | None = None
        self.end_seq = 0
        """Highest position of the blocks met so far, good ones or not."""

    @property
    def has_failed(self) -> bool:
        """Whether something could not be read so far."""
        return self._failure_count > 0 or self._bad_count > 0

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def state(self) -> SalvagedRow | None:
        """Returns the row of the agent's state, or None where it cannot be read."""
        try:
            cursor = self._connection.execute("SELECT * FROM agent_state WHERE id = 1")
            row = cursor.fetchone()
        except sqlite3.Error:
            return None
        if row is None:
            return None
        found = dict(zip([column[0] for column in cursor.description], row, strict=True))
        is_whole = isinstance(found.get("applied_seq"), int) and isinstance(
            found.get("safe_seq"), int
        )
        return found if is_whole else None

    def last_first_seq(self) -> int:
        """Returns the position of the last block, whether it can be read or not; 0 if unknown."""
        if self._last_first_seq is None:
            self._last_first_seq = self._find_last_first_seq()
        return self._last_first_seq

    def _find_last_first_seq(self) -> int:
        # The index holds the key of each row and lies on other pages than the rows themselves.
        for query in (
            "SELECT max(first_seq) FROM (SELECT first_seq FROM block "
            "INDEXED BY idx_block_oldest_event_time_us)",
            "SELECT max(first_seq) FROM block",
        ):
            try:
                [found] = self._connection.execute(query).fetchone()
            except sqlite3.Error:
                continue
            if isinstance(found, int):
                return found
        return 0

    def blocks(self, *, first_seq: int) -> Iterator[SalvagedRow]:
        """Yields the good blocks that hold positions from `first_seq` on, lowest first."""
        last_seq = 0
        for row in self._range(0, KEY_MAX):
            if not _is_good(row, last_seq=last_seq):
                self._note_end(row)
                self._bad_count += 1
                continue
            last_seq = row["first_seq"] + row["event_count"] - 1
            self.end_seq = max(self.end_seq, last_seq)
            if last_seq >= first_seq:
                yield row

    def _note_end(self, row: SalvagedRow) -> None:
        """Takes the end of a bad block too, where it is the last and its count can be true."""
        first_seq, event_count, events = row["first_seq"], row["event_count"], row["events"]
        is_plausible = (
            isinstance(event_count, int)
            and isinstance(events, bytes)
            and 0 < event_count * EVENT_BYTES_MIN <= len(events)
        )
        if is_plausible and first_seq == self.last_first_seq():
            self.end_seq = max(self.end_seq, first_seq + event_count - 1)

    def _range(self, low: int, high: int) -> Iterator[SalvagedRow]:
        """Yields what can be read of the keys from `low` to `high`."""
        ranges = [(low, high)]
        while ranges:
            low, high = ranges.pop()
            try:
                for row in self._read(low, high):
                    yield row
                    low = row["first_seq"] + 1
            except sqlite3.Error:
                self._failure_count += 1
                if high - low < self._narrowest or not self._is_table_known():
                    continue
                middle = (low + high) // 2
                ranges += [(middle + 1, high), (low, middle)]

    @property
    def _narrowest(self) -> int:
        surplus = self._failure_count - READ_FAILURE_COUNT_MAX
        return 1 if surplus < 0 else 1 << min(surplus // COARSER_COUNT, KEY_BITS)

    def _is_table_known(self) -> bool:
        """Returns whether the schema can be read; without it no read can succeed."""
        try:
            self._connection.execute("SELECT first_seq FROM block LIMIT 0")
        except sqlite3.Error:
            return False
        return True

    def _read(self, low: int, high: int) -> Iterator[SalvagedRow]:
        cursor = self._connection.execute(
            "SELECT * FROM block WHERE first_seq BETWEEN ? AND ? ORDER BY first_seq", (low, high)
        )
        names = [column[0] for column in cursor.description]
        for values in cursor:
            yield dict(zip(names, values, strict=True))


def row_checksum(row: SalvagedRow) -> int:
    """Returns the checksum that a row must have."""
    return block_checksum(
        row["first_seq"],
        row["event_count"],
        row["receive_time_us"],
        row["oldest_event_time_us"],
        events=row["events"],
    )


def _is_good(row: SalvagedRow, *, last_seq: int) -> bool:
    numbers = ("first_seq", "event_count", "receive_time_us", "oldest_event_time_us")
    if not all(isinstance(row[name], int) for name in numbers):
        return False
    events = row["events"]
    if not isinstance(events, bytes) or row["event_count"] < 1 or row["first_seq"] <= last_seq:
        return False
    crc32 = row.get("events_crc32")
    if crc32 is not None:
        return bool(crc32 == row_checksum(row))
    try:
        event_count = len(UsageEvents.FromString(events).events)
    except DecodeError:
        return False
    return bool(event_count == row["event_count"])
