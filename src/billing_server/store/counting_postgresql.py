"""The statements that run for every event, on PostgreSQL: one round trip a table and batch.

Rows travel as arrays and are unnested by the server. Customers are locked in sorted order before
anything else of theirs is touched, so that two agents never wait for each other in a circle.
"""

from collections import Counter
from collections.abc import Collection, Sequence
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
# Sorted by key: transactions that insert the same events of unknown customers, which nothing
# locks, meet in the same order.
_INSERT_EVENTS = (
    f"INSERT INTO usage_event ({_EVENT_COLUMNS}) SELECT * FROM unnest(%s::text[], %s::text[], "
    "%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bytea[], %s::text[], %s::text[]) "
    'AS new_event (id, customer) ORDER BY id COLLATE "C", customer COLLATE "C" '
    "ON CONFLICT (event_id, customer_id) DO NOTHING"
)
_SELECT_EVENTS = (
    f"SELECT {_EVENT_COLUMNS} FROM usage_event "
    "JOIN unnest(%s::text[], %s::text[]) AS wanted (id, customer) "
    "ON event_id = wanted.id AND customer_id = wanted.customer"
)
_INSERT_CONFLICTS = (
    "INSERT INTO usage_conflict (event_id, customer_id, content_sha256, agent_ref, seq, "
    "receive_time, detect_time, payload) SELECT * FROM unnest(%s::text[], %s::text[], "
    "%s::bytea[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bytea[]) "
    "ON CONFLICT DO NOTHING"
)
_SELECT_SERIES = (
    "SELECT customer_id, meter_key, dimensions, series_id FROM usage_series "
    "JOIN unnest(%s::text[], %s::text[], %s::text[]) AS wanted (customer, meter, dims) "
    "ON customer_id = customer AND meter_key = meter AND dimensions = dims"
)
_INSERT_SERIES = (
    "INSERT INTO usage_series (customer_id, meter_key, dimensions) "
    "SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]) ON CONFLICT DO NOTHING"
)
_UPSERT_BUCKETS = (
    "INSERT INTO usage_bucket (minute, customer_id, series_id, value, event_count) "
    "SELECT * FROM unnest(%s::int[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[]) "
    "ON CONFLICT (minute, customer_id, series_id) DO UPDATE SET "
    "event_count = usage_bucket.event_count + excluded.event_count, "
)
_ADD_TO_BUCKETS = f"{_UPSERT_BUCKETS} value = usage_bucket.value + excluded.value"
_RAISE_BUCKETS = f"{_UPSERT_BUCKETS} value = greatest(usage_bucket.value, excluded.value)"
_PUT_LATEST = (
    "INSERT INTO usage_bucket (minute, customer_id, series_id, value, event_count, last_time, "
    "last_event_id) SELECT * FROM unnest(%s::int[], %s::text[], %s::bigint[], %s::bigint[], "
    "%s::bigint[], %s::bigint[], %s::text[]) "
    "ON CONFLICT (minute, customer_id, series_id) DO UPDATE SET "
    "event_count = usage_bucket.event_count + excluded.event_count, "
    "value = CASE WHEN {later} THEN excluded.value ELSE usage_bucket.value END, "
    "last_event_id = CASE WHEN {later} THEN excluded.last_event_id "
    "ELSE usage_bucket.last_event_id END, "
    "last_time = greatest(usage_bucket.last_time, excluded.last_time)"
).format(
    later="usage_bucket.last_time IS NULL OR (excluded.last_time, excluded.last_event_id) "
    "> (usage_bucket.last_time, usage_bucket.last_event_id)"
)
_INSERT_READINGS = (
    "INSERT INTO usage_reading (customer_id, series_id, event_time, event_id, value, is_change, "
    "money) SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[], "
    "%s::bigint[], %s::bool[], %s::text[])"
)
_SELECT_BUCKETS = (
    "SELECT usage_bucket.minute, customer_id, series_id, value FROM usage_bucket "
    "JOIN unnest(%s::int[], %s::text[], %s::bigint[]) AS wanted (minute_, customer, series) "
    "ON minute = minute_ AND customer_id = customer AND series_id = series"
)
_CHARGE_KEY = "customer_id, subscription_id, period_start, price_key, segment, group_key"
_CHARGE_KEY_TYPES = "%s::text[], %s::text[], %s::bigint[], %s::text[], %s::int[], %s::text[]"
_CHARGE_STATE = "quantity, amount_exact, amount_minor, value_count, last_time, last_event_id"
_SELECT_CHARGES = (
    f"SELECT {_CHARGE_KEY}, {_CHARGE_STATE} FROM running_charge "
    f"JOIN unnest({_CHARGE_KEY_TYPES}) "
    "AS wanted (customer, subscription, start, price, part, grouped) "
    "ON customer_id = customer AND subscription_id = subscription AND period_start = start "
    "AND price_key = price AND segment = part AND group_key = grouped"
)
_UPSERT_CHARGES = (
    f"INSERT INTO running_charge ({_CHARGE_KEY}, {_CHARGE_STATE}) "
    f"SELECT * FROM unnest({_CHARGE_KEY_TYPES}, %s::numeric[], %s::numeric[], %s::bigint[], "
    "%s::bigint[], %s::bigint[], %s::text[]) "
    f"ON CONFLICT ({_CHARGE_KEY}) DO UPDATE SET "
    "quantity = excluded.quantity, amount_exact = excluded.amount_exact, "
    "amount_minor = excluded.amount_minor, value_count = excluded.value_count, "
    "last_time = excluded.last_time, last_event_id = excluded.last_event_id"
)
_INSERT_CHARGE_VALUES = (
    f"INSERT INTO charge_value ({_CHARGE_KEY}, value) "
    f"SELECT * FROM unnest({_CHARGE_KEY_TYPES}, %s::text[]) "
    f"ON CONFLICT DO NOTHING RETURNING {_CHARGE_KEY}"
)
_SELECT_INVOICED = (
    "SELECT subscription_id, period_start, has_late_usage FROM billing_period "
    "JOIN unnest(%s::text[], %s::bigint[]) AS wanted (subscription, start) "
    "ON subscription_id = subscription AND period_start = start WHERE state = 'invoiced'"
)
_MARK_LATE = (
    "UPDATE billing_period SET has_late_usage = true "
    "FROM unnest(%s::text[], %s::bigint[]) AS wanted (subscription, start) "
    "WHERE subscription_id = subscription AND period_start = start"
)
_MARK_LATE_LEVELS = (
    "UPDATE billing_period SET has_late_usage = true "
    "FROM unnest(%s::text[], %s::bigint[]) AS wanted (customer, since) "
    "WHERE customer_id = customer AND period_end > since "
    "AND state = 'invoiced' AND NOT has_late_usage"
)


class PostgresqlCounting:
    """Implements what the port of usage needs for every event."""

    def __init__(self, connection: Connection) -> None:
        # The driver's own connection, inside the transaction that SQLAlchemy has begun.
        self._driver = cast("Any", connection.connection.driver_connection)

    def share_catalog(self) -> int:
        """Returns the catalog's revision and keeps it from changing until the commit."""
        row = self._driver.execute("SELECT revision FROM catalog_state FOR SHARE").fetchone()
        return cast("int", row[0])

    def lock_customers(self, customer_ids: Collection[str]) -> dict[str, int]:
        """Holds customers in sorted order; returns the revision of each one that exists."""
        statement = (
            "SELECT id, revision FROM customer WHERE id = ANY(%s::text[]) ORDER BY id FOR UPDATE"
        )
        return dict(self._driver.execute(statement, (list(customer_ids),)).fetchall())

    def insert_events(self, rows: Sequence[EventRow]) -> int:
        """Inserts events whose key is new; returns how many were."""
        return cast("int", self._run(_INSERT_EVENTS, rows).rowcount) if rows else 0

    def stored_events(self, keys: Collection[EventKey]) -> dict[EventKey, EventRow]:
        """Returns those events that are stored."""
        if not keys:
            return {}
        rows = (EventRow(*row) for row in self._run(_SELECT_EVENTS, keys))
        return {(row.event_id, row.customer_id): row for row in rows}

    def add_conflicts(self, rows: Sequence[ConflictRow]) -> None:
        """Writes conflicts; one with the same other content is there once."""
        if rows:
            self._run(_INSERT_CONFLICTS, rows)

    def series_ids(self, keys: Collection[SeriesKey]) -> dict[SeriesKey, int]:
        """Returns the number of each series, making those that are new."""
        if not keys:
            return {}
        found = self._series(keys)
        missing = [key for key in keys if key not in found]
        if missing:
            self._run(_INSERT_SERIES, missing)
            found |= self._series(missing)
        return found

    def add_to_buckets(self, changes: Sequence[BucketChange]) -> None:
        """Adds values and counts to buckets; a sum beyond 64 bits raises."""
        if changes:
            self._run(_ADD_TO_BUCKETS, changes)

    def raise_buckets(self, changes: Sequence[BucketChange]) -> None:
        """Raises buckets to a value and adds counts."""
        if changes:
            self._run(_RAISE_BUCKETS, changes)

    def put_latest_buckets(self, changes: Sequence[LatestChange]) -> None:
        """Puts values that are later than a bucket's, and adds counts."""
        if changes:
            self._run(_PUT_LATEST, changes)

    def bucket_values(self, keys: Collection[BucketKey]) -> dict[BucketKey, int]:
        """Returns the values of those buckets that exist."""
        if not keys:
            return {}
        rows = self._run(_SELECT_BUCKETS, keys)
        return {(minute, customer, series): value for minute, customer, series, value in rows}

    def charges(self, keys: Collection[ChargeKey]) -> dict[ChargeKey, ChargeRow]:
        """Returns those running charges that exist."""
        if not keys:
            return {}
        found = {}
        for row in self._run(_SELECT_CHARGES, keys):
            key = ChargeKey(*row[: len(ChargeKey._fields)])
            quantity, *rest = row[len(ChargeKey._fields) :]
            found[key] = ChargeRow(key, int(quantity), *rest)
        return found

    def put_charges(self, rows: Sequence[ChargeRow]) -> None:
        """Writes running charges over what is there."""
        if rows:
            self._run(
                _UPSERT_CHARGES,
                [(*key, Decimal(quantity), *rest) for key, quantity, *rest in rows],
            )

    def add_charge_values(self, values: Collection[tuple[ChargeKey, str]]) -> dict[ChargeKey, int]:
        """Notes values that charges have seen; returns how many were new to each."""
        if not values:
            return {}
        rows = {(*key, value) for key, value in values}
        return dict(Counter(ChargeKey(*row) for row in self._run(_INSERT_CHARGE_VALUES, rows)))

    def add_readings(self, rows: Sequence[ReadingRow]) -> None:
        """Writes what events brought meters for which their order matters."""
        if rows:
            self._run(
                _INSERT_READINGS, [row._replace(is_change=bool(row.is_change)) for row in rows]
            )

    def mark_late_usage(self, periods: Collection[tuple[str, int]]) -> frozenset[tuple[str, int]]:
        """Marks those of the periods that are invoiced; returns them."""
        rows = self._run(_SELECT_INVOICED, periods).fetchall() if periods else []
        unmarked = [
            (subscription, start) for subscription, start, is_marked in rows if not is_marked
        ]
        if unmarked:
            self._run(_MARK_LATE, unmarked)
        return frozenset((subscription, start) for subscription, start, _ in rows)

    def mark_late_levels(self, since: Collection[tuple[str, int]]) -> None:
        """Marks invoiced periods that end after an instant."""
        if since:
            self._run(_MARK_LATE_LEVELS, since)

    def _series(self, keys: Collection[SeriesKey]) -> dict[SeriesKey, int]:
        rows = self._run(_SELECT_SERIES, keys)
        return {(customer, meter, dims): number for customer, meter, dims, number in rows}

    def _run(self, statement: str, rows: Collection[Sequence[Any]]) -> Any:
        """Runs a statement on rows, each column sent as one array."""
        return self._driver.execute(statement, [list(column) for column in zip(*rows, strict=True)])
