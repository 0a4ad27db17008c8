"""The statements that run for every event, on SQLite: straight at the driver.

One `executemany` a table and batch, with prepared statements that the driver keeps. The transaction
is SQLAlchemy's; only the statements go past it.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import Connection

from billing_server.domain.ports.usage import (
    BucketChange,
    BucketKey,
    ChargeKey,
    ChargeRow,
    ConflictRow,
    EventKey,
    EventRow,
    LatestChange,
    ReadingRow,
    SeriesKey,
)

_EVENT_COLUMNS = (
    "event_id, customer_id, event_time, receive_time, agent_ref, seq, payload, "
    "quarantine_reason, quarantine_detail"
)
_INSERT_EVENT = (
    f"INSERT INTO usage_event ({_EVENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (event_id, customer_id) DO NOTHING"
)
_SELECT_EVENT = f"SELECT {_EVENT_COLUMNS} FROM usage_event WHERE event_id = ? AND customer_id = ?"
_INSERT_CONFLICT = (
    "INSERT INTO usage_conflict (event_id, customer_id, content_sha256, agent_ref, seq, "
    "receive_time, detect_time, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_SELECT_CUSTOMERS = "SELECT id, revision FROM customer WHERE id IN (SELECT value FROM json_each(?))"
_SELECT_SERIES = (
    "SELECT series_id FROM usage_series WHERE customer_id = ? AND meter_key = ? AND dimensions = ?"
)
_INSERT_SERIES = (
    "INSERT INTO usage_series (customer_id, meter_key, dimensions) VALUES (?, ?, ?) "
    "ON CONFLICT DO NOTHING"
)
_UPSERT_BUCKET = (
    "INSERT INTO usage_bucket (minute, customer_id, series_id, value, event_count) "
    "VALUES (?, ?, ?, ?, ?) ON CONFLICT (minute, customer_id, series_id) DO UPDATE SET "
)
_ADD_TO_BUCKET = (
    f"{_UPSERT_BUCKET} value = value + excluded.value, "
    "event_count = event_count + excluded.event_count"
)
_RAISE_BUCKET = (
    f"{_UPSERT_BUCKET} value = max(value, excluded.value), "
    "event_count = event_count + excluded.event_count"
)
_PUT_LATEST = (
    "INSERT INTO usage_bucket (minute, customer_id, series_id, value, event_count, last_time, "
    "last_event_id) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (minute, customer_id, series_id) DO UPDATE SET "
    "event_count = event_count + excluded.event_count, "
    "value = CASE WHEN {later} THEN excluded.value ELSE value END, "
    "last_event_id = CASE WHEN {later} THEN excluded.last_event_id ELSE last_event_id END, "
    "last_time = max(coalesce(last_time, excluded.last_time), excluded.last_time)"
).format(
    later="last_time IS NULL OR (excluded.last_time, excluded.last_event_id) "
    "> (last_time, last_event_id)"
)
_INSERT_READING = (
    "INSERT INTO usage_reading (customer_id, series_id, event_time, event_id, value, is_change, "
    "money) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_SELECT_BUCKET = (
    "SELECT value FROM usage_bucket WHERE minute = ? AND customer_id = ? AND series_id = ?"
)
_CHARGE_KEY = "customer_id, subscription_id, period_start, price_key, segment, group_key"
_CHARGE_MATCH = (
    "customer_id = ? AND subscription_id = ? AND period_start = ? AND price_key = ? "
    "AND segment = ? AND group_key = ?"
)
_CHARGE_STATE = "quantity, amount_exact, amount_minor, value_count, last_time, last_event_id"
_SELECT_CHARGE = f"SELECT {_CHARGE_STATE} FROM running_charge WHERE {_CHARGE_MATCH}"
_UPSERT_CHARGE = (
    f"INSERT INTO running_charge ({_CHARGE_KEY}, {_CHARGE_STATE}) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    f"ON CONFLICT ({_CHARGE_KEY}) DO UPDATE SET "
    "quantity = excluded.quantity, amount_exact = excluded.amount_exact, "
    "amount_minor = excluded.amount_minor, value_count = excluded.value_count, "
    "last_time = excluded.last_time, last_event_id = excluded.last_event_id"
)
_SELECT_CHARGE_VALUE = f"SELECT 1 FROM charge_value WHERE {_CHARGE_MATCH} AND value = ?"
_INSERT_CHARGE_VALUE = (
    f"INSERT INTO charge_value ({_CHARGE_KEY}, value) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_SELECT_INVOICED = (
    "SELECT has_late_usage FROM billing_period "
    "WHERE subscription_id = ? AND period_start = ? AND state = 'invoiced'"
)
_MARK_LATE = (
    "UPDATE billing_period SET has_late_usage = 1 WHERE subscription_id = ? AND period_start = ?"
)
_MARK_LATE_LEVELS = (
    "UPDATE billing_period SET has_late_usage = 1 "
    "WHERE customer_id = ? AND period_end > ? AND state = 'invoiced' AND has_late_usage = 0"
)


class SqliteCounting:
    """Implements what the port of usage needs for every event."""

    def __init__(self, connection: Connection) -> None:
        # The driver's own connection, inside the transaction that SQLAlchemy has begun.
        self._driver = cast("Any", connection.connection.driver_connection)

    def share_catalog(self) -> int:
        """Returns the catalog's revision; the one writer keeps it from changing."""
        return cast("int", self._driver.execute("SELECT revision FROM catalog_state").fetchone()[0])

    def lock_customers(self, customer_ids: Collection[str]) -> dict[str, int]:
        """Returns the revision of each customer that exists; the one writer holds them all."""
        return dict(
            self._driver.execute(_SELECT_CUSTOMERS, (json.dumps(list(customer_ids)),)).fetchall()
        )

    def insert_events(self, rows: Sequence[EventRow]) -> int:
        """Inserts events whose key is new; returns how many were."""
        before = self._driver.total_changes
        self._driver.executemany(_INSERT_EVENT, rows)
        return cast("int", self._driver.total_changes - before)

    def stored_events(self, keys: Collection[EventKey]) -> dict[EventKey, EventRow]:
        """Returns those events that are stored."""
        return {key: EventRow(*row) for key, row in self._points(_SELECT_EVENT, keys)}

    def add_conflicts(self, rows: Sequence[ConflictRow]) -> None:
        """Writes conflicts; one with the same other content is there once."""
        self._driver.executemany(_INSERT_CONFLICT, rows)

    def series_ids(self, keys: Collection[SeriesKey]) -> dict[SeriesKey, int]:
        """Returns the number of each series, making those that are new."""
        found = {key: row[0] for key, row in self._points(_SELECT_SERIES, keys)}
        missing = [key for key in keys if key not in found]
        if missing:
            self._driver.executemany(_INSERT_SERIES, missing)
            found |= {key: row[0] for key, row in self._points(_SELECT_SERIES, missing)}
        return found

    def add_to_buckets(self, changes: Sequence[BucketChange]) -> None:
        """Adds values and counts to buckets.

        A sum beyond 64 bits becomes a REAL, which a STRICT table refuses: nothing ever wraps.
        """
        self._driver.executemany(_ADD_TO_BUCKET, changes)

    def raise_buckets(self, changes: Sequence[BucketChange]) -> None:
        """Raises buckets to a value and adds counts."""
        self._driver.executemany(_RAISE_BUCKET, changes)

    def put_latest_buckets(self, changes: Sequence[LatestChange]) -> None:
        """Puts values that are later than a bucket's, and adds counts."""
        self._driver.executemany(_PUT_LATEST, changes)

    def bucket_values(self, keys: Collection[BucketKey]) -> dict[BucketKey, int]:
        """Returns the values of those buckets that exist."""
        return {key: row[0] for key, row in self._points(_SELECT_BUCKET, keys)}

    def charges(self, keys: Collection[ChargeKey]) -> dict[ChargeKey, ChargeRow]:
        """Returns those running charges that exist."""
        return {
            key: ChargeRow(key, int(row[0]), Decimal(row[1]), *row[2:])
            for key, row in self._points(_SELECT_CHARGE, keys)
        }

    def put_charges(self, rows: Sequence[ChargeRow]) -> None:
        """Writes running charges over what is there."""
        self._driver.executemany(
            _UPSERT_CHARGE,
            [
                (*key, str(quantity), _plain(amount_exact), *rest)
                for key, quantity, amount_exact, *rest in rows
            ],
        )

    def add_charge_values(self, values: Collection[tuple[ChargeKey, str]]) -> dict[ChargeKey, int]:
        """Notes values that charges have seen; returns how many were new to each."""
        rows = {(*key, value): key for key, value in values}
        known = {row for row, _ in self._points(_SELECT_CHARGE_VALUE, rows)}
        new = [row for row in rows if row not in known]
        self._driver.executemany(_INSERT_CHARGE_VALUE, new)
        return dict(Counter(rows[row] for row in new))

    def add_readings(self, rows: Sequence[ReadingRow]) -> None:
        """Writes what events brought meters for which their order matters."""
        self._driver.executemany(_INSERT_READING, rows)

    def mark_late_usage(self, periods: Collection[tuple[str, int]]) -> frozenset[tuple[str, int]]:
        """Marks those of the periods that are invoiced; returns them."""
        invoiced = dict(self._points(_SELECT_INVOICED, periods))
        self._driver.executemany(_MARK_LATE, [key for key, row in invoiced.items() if not row[0]])
        return frozenset(invoiced)

    def mark_late_levels(self, since: Collection[tuple[str, int]]) -> None:
        """Marks invoiced periods that end after an instant."""
        self._driver.executemany(_MARK_LATE_LEVELS, since)

    def _points(self, statement: str, keys: Iterable[Any]) -> Iterable[tuple[Any, Any]]:
        """Yields (key, row) for each key that is there; a point read costs about 3 µs."""
        execute = self._driver.execute
        for key in keys:
            row = execute(statement, key).fetchone()
            if row is not None:
                yield key, row


def _plain(value: Decimal) -> str:
    return format(value, "f")
