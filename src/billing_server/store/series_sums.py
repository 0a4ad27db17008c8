"""The sums of a check, in a database of its own that SQLite deletes with its connection.

It is private to the process, whatever the server's database is: SQLite keeps it in memory as long
as it is small, and in a temporary file beyond.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

from billing_server.domain.ports.usage import LatestValue
from billing_server.domain.ports.usage_scan import SeriesSum

TEMPORARY: Final = ""
"""The name under which SQLite opens a temporary database on disk."""
_HIGH_BITS: Final = 32
_LOW_MASK: Final = (1 << _HIGH_BITS) - 1
"""Totals are kept in two halves: many buckets of 64 bits do not fit into 64."""
_TABLE: Final = (
    "CREATE TABLE series_sum (customer_id TEXT NOT NULL, window INTEGER NOT NULL, "
    "series_id INTEGER NOT NULL, high INTEGER NOT NULL, low INTEGER NOT NULL, "
    "event_count INTEGER NOT NULL, maximum INTEGER NOT NULL, last_time INTEGER, last_id TEXT, "
    "last_value INTEGER, PRIMARY KEY (customer_id, window, series_id)) STRICT, WITHOUT ROWID"
)
_ADD: Final = "INSERT INTO series_sum VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_OF_CUSTOMER: Final = (
    "SELECT series_id, window, high, low, event_count, maximum, last_time, last_id, last_value "
    "FROM series_sum WHERE customer_id = ? ORDER BY window, series_id"
)


class SqliteSeriesSums:
    """Implements the port of series sums."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, sums: Iterable[tuple[str, SeriesSum]]) -> None:
        """Keeps sums, each with its customer."""
        self._connection.executemany(_ADD, [_row(*each) for each in sums])

    def of_customer(self, customer_id: str) -> list[SeriesSum]:
        """Returns the sums of a customer's series, by window."""
        rows = self._connection.execute(_OF_CUSTOMER, (customer_id,))
        return [_sum_from_row(row) for row in rows]


def _sum_from_row(row: tuple[Any, ...]) -> SeriesSum:
    series_id, window, high, low, event_count, maximum, last_time, last_id, last_value = row
    return SeriesSum(
        series_id=series_id,
        window=window,
        total=(high << _HIGH_BITS) + low,
        event_count=event_count,
        maximum=maximum,
        latest=None if last_time is None else LatestValue(last_time, last_id, last_value),
    )


def _row(customer_id: str, each: SeriesSum) -> tuple[object, ...]:
    latest = (None, None, None) if each.latest is None else tuple(each.latest)
    high, low = each.total >> _HIGH_BITS, each.total & _LOW_MASK
    place = (customer_id, each.window, each.series_id)
    return *place, high, low, each.event_count, each.maximum, *latest


@contextmanager
def open_series_sums() -> Iterator[SqliteSeriesSums]:
    """Opens an empty place for sums; what is in it goes with the block."""
    with closing(sqlite3.connect(TEMPORARY, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(_TABLE)
        connection.execute("BEGIN")
        yield SqliteSeriesSums(connection)
