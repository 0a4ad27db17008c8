"""Scanning all usage in windows of time, at the driver: a check reads every event there is."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import Connection, bindparam, select, type_coerce, union

from billing_server.domain.ports.usage import ReadingRow, SeriesKey
from billing_server.domain.ports.usage_facts import Adjustment, Correction
from billing_server.domain.ports.usage_scan import ScannedEvent, StoredBucket, WindowBuckets
from billing_server.domain.usage.instants import MICROSECONDS_PER_MINUTE
from billing_server.store.tables import (
    running_charge,
    usage_adjustment,
    usage_correction,
    usage_event,
    usage_series,
)
from billing_server.store.types import Int64
from billing_server.store.usage_fact_repository import correction_from_row

_FOREVER: Final = 2**31 - 1
"""A minute behind every other: 32 bits hold them until the year 6053."""
_EVENTS: Final = (
    "SELECT customer_id, event_time, event_id, payload FROM usage_event "
    "WHERE event_time >= ? AND event_time < ? AND quarantine_reason IS NULL"
)
_BUCKETS: Final = (
    "SELECT minute, customer_id, series_id, value, event_count, last_time, last_event_id "
    "FROM usage_bucket WHERE minute >= ? AND minute < ? ORDER BY minute"
)
_IS_PACKED: Final = (
    "last_time IS NULL AND series_id >= 0 AND series_id < 2147483648 "
    "AND event_count >= 0 AND event_count < 16777216 "
    "AND value >= -274877906944 AND value < 274877906944"
)
_PACKED: Final = (
    "SELECT CAST(minute AS BIGINT) * 4294967296 + series_id, "
    f"CASE WHEN {_IS_PACKED} THEN value * 16777216 + event_count END "
    "FROM usage_bucket WHERE minute >= ? AND minute < ?"
)
_NOT_PACKED: Final = (
    "SELECT minute, customer_id, series_id, value, event_count, last_time, last_event_id "
    f"FROM usage_bucket WHERE minute >= ? AND minute < ? AND NOT ({_IS_PACKED})"
)
_STRAYED: Final = (
    "SELECT b.minute, b.customer_id, b.series_id, s.customer_id "
    "FROM usage_bucket b LEFT JOIN usage_series s ON s.series_id = b.series_id "
    "WHERE s.customer_id IS NULL OR s.customer_id <> b.customer_id LIMIT ?"
)
_READINGS: Final = (
    "SELECT customer_id, series_id, event_time, event_id, value, is_change, money "
    "FROM usage_reading WHERE customer_id = ? AND series_id = ? "
    "AND event_time >= ? AND event_time < ? ORDER BY event_time, event_id"
)
_NEXT_TIME: Final = (
    "SELECT event_time FROM usage_event WHERE event_time >= ? ORDER BY event_time LIMIT 1 OFFSET ?"
)
_FIRST: Final = (
    "SELECT min(event_time) FROM usage_event WHERE quarantine_reason IS NULL "
    "UNION ALL SELECT min(event_time) FROM usage_adjustment "
    "UNION ALL SELECT CAST(min(minute) AS BIGINT) * 60000000 FROM usage_bucket"
)
_SERIES: Final = (
    "SELECT series_id FROM usage_series WHERE customer_id = ? AND meter_key = ? AND dimensions = ?"
)

_CHARGE_PERIODS: Final = (
    select(running_charge.c.subscription_id, running_charge.c.period_start)
    .distinct()
    .where(running_charge.c.customer_id == bindparam("of_customer"))
    .order_by(running_charge.c.subscription_id, running_charge.c.period_start)
)


class SqlUsageScan:
    """Implements the port of the scan."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # The driver's own connection, inside the transaction that SQLAlchemy has begun.
        self._driver = cast("Any", connection.connection.driver_connection)
        self._is_postgresql = connection.dialect.name == "postgresql"

    def first_minute(self) -> int | None:
        """Returns the first minute with an event, an adjustment or a bucket; None: none has."""
        found = [row[0] for row in self._rows(_FIRST, ()) if row[0] is not None]
        return min(found) // MICROSECONDS_PER_MINUTE if found else None

    def window_end(self, minute: int, *, limit: int) -> int | None:
        """Returns the minute at which a window of `limit` events ends; None: it is the last."""
        rows = self._rows(_NEXT_TIME, (minute * MICROSECONDS_PER_MINUTE, limit))
        return max(rows[0][0] // MICROSECONDS_PER_MINUTE, minute + 1) if rows else None

    def events(self, start: int, *, end: int | None) -> list[ScannedEvent]:
        """Returns the counted events of the minutes [start, end)."""
        return cast("list[ScannedEvent]", self._rows(_EVENTS, _instants(start, end)))

    def buckets(self, start: int, *, end: int | None) -> list[StoredBucket]:
        """Returns the buckets of the minutes [start, end), by minute."""
        window = (start, _FOREVER if end is None else end)
        return cast("list[StoredBucket]", self._rows(_BUCKETS, window))

    def window_buckets(self, start: int, *, end: int | None) -> WindowBuckets:
        """Returns the same buckets, packed: the driver's rows become a mapping without a loop."""
        window = (start, _FOREVER if end is None else end)
        rows = self._rows(_PACKED, window)
        packed, others = dict(rows), []
        if None in packed.values():
            packed = {place: state for place, state in rows if state is not None}
            others = self._rows(_NOT_PACKED, window)
        return WindowBuckets(
            cast("dict[int, int]", packed), cast("list[StoredBucket]", others), len(rows)
        )

    def strayed_buckets(self, *, limit: int) -> list[tuple[int, str, int, str | None]]:
        """Returns buckets under another customer than their series has."""
        rows = self._rows(_STRAYED, (limit,))
        return cast("list[tuple[int, str, int, str | None]]", rows)

    def series(self, customer_id: str) -> dict[int, tuple[str, Mapping[str, str]]]:
        """Returns meter key and dimensions of a customer's series, by number."""
        series = usage_series.c
        statement = select(series.series_id, series.meter_key, series.dimensions).where(
            series.customer_id == customer_id
        )
        return {row[0]: (row[1], row[2]) for row in self._connection.execute(statement)}

    def readings(
        self, customer_id: str, *, series_id: int, start: int, end: int | None
    ) -> list[ReadingRow]:
        """Returns the readings of a series in the minutes [start, end), by (time, event id)."""
        window = (customer_id, series_id, *_instants(start, end))
        found = [ReadingRow(*row) for row in self._rows(_READINGS, window)]
        return [row._replace(is_change=int(row.is_change)) for row in found]

    def corrections(self, start: int, *, end: int | None) -> list[Correction]:
        """Returns every correction of an event with a time in [start, end), oldest first."""
        first, last = _instants(start, end)
        event, made = usage_event.c, usage_correction.c
        time = type_coerce(event.event_time, Int64)
        statement = (
            select(usage_correction)
            .join(
                usage_event,
                (event.event_id == made.event_id) & (event.customer_id == made.customer_id),
            )
            .where(time >= first, time < last)
            .order_by(made.version)
        )
        return [correction_from_row(row) for row in self._connection.execute(statement)]

    def adjustments(self, start: int, *, end: int | None) -> list[Adjustment]:
        """Returns the adjustments that count in [start, end)."""
        first, last = _instants(start, end)
        time = type_coerce(usage_adjustment.c.event_time, Int64)
        statement = (
            select(usage_adjustment)
            .where(time >= first, time < last)
            .order_by(time, usage_adjustment.c.id)
        )
        return [Adjustment(**row._mapping) for row in self._connection.execute(statement)]

    def known_series(self, keys: Collection[SeriesKey]) -> dict[SeriesKey, int]:
        """Returns the numbers of those series that are there; makes none."""
        found = {}
        for key in keys:
            rows = self._rows(_SERIES, key)
            if rows:
                found[key] = rows[0][0]
        return found

    def customers_with_usage(self, *, after: str, limit: int) -> list[str]:
        """Returns ids of customers with a series or a running charge, in order, behind one."""
        of_series = select(usage_series.c.customer_id).where(usage_series.c.customer_id > after)
        charged = select(running_charge.c.customer_id).where(running_charge.c.customer_id > after)
        found = union(of_series, charged).subquery()
        ordered = select(found.c.customer_id).order_by(found.c.customer_id).limit(limit)
        return list(self._connection.execute(ordered).scalars())

    def charge_periods(self, customer_id: str) -> list[tuple[str, datetime]]:
        """Returns the subscriptions and period starts for which a customer has running charges."""
        found = self._connection.execute(_CHARGE_PERIODS, {"of_customer": customer_id})
        return [(row[0], row[1]) for row in found]

    def _rows(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        if self._is_postgresql:
            statement = statement.replace("?", "%s")
        return cast("list[tuple[Any, ...]]", self._driver.execute(statement, values).fetchall())


def _instants(start: int, end: int | None) -> tuple[int, int]:
    """Returns a window of minutes in microseconds."""
    last = _FOREVER if end is None else end
    return start * MICROSECONDS_PER_MINUTE, last * MICROSECONDS_PER_MINUTE
