"""Usage in the database: counting at the driver, everything else through SQLAlchemy Core."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, tuple_, type_coerce

from billing_server.domain.ports.usage import (
    BucketChange,
    BucketKey,
    ChargeKey,
    ChargeRow,
    ConflictRow,
    EventKey,
    EventRow,
    LatestChange,
    LatestValue,
    ReadingRow,
    RunningCharge,
    SeriesKey,
    SeriesUsage,
    UsageConflict,
)
from billing_server.store.counting_postgresql import PostgresqlCounting
from billing_server.store.counting_sqlite import SqliteCounting
from billing_server.store.engine import translated
from billing_server.store.tables import (
    charge_event_state,
    charge_value,
    customer,
    running_charge,
    subscription,
    usage_bucket,
    usage_conflict,
    usage_event,
)
from billing_server.store.tables_usage import EVENT_WAITS
from billing_server.store.types import Int64
from billing_server.store.usage_statements import (
    FAILED,
    FOLD,
    FOLD_METER,
    HIGH_BITS,
    RUNNING_CHARGES,
    SPAN,
)

# Times as plain numbers: an event may wait precisely because its time is out of any range.
EVENT_ROW = tuple(
    type_coerce(column, Int64) if column.name.endswith("_time") else column
    for column in usage_event.c
)


class SqlUsageRepository:
    """Implements the port of usage."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        counting: SqliteCounting | PostgresqlCounting
        if connection.dialect.name == "postgresql":
            counting = PostgresqlCounting(connection)
        else:
            counting = SqliteCounting(connection)
        self._counting = counting

    def share_catalog(self) -> int:
        """Returns the catalog's revision and keeps it from changing until the end of the unit."""
        return self._counting.share_catalog()

    def lock_customers(self, customer_ids: Collection[str]) -> dict[str, int]:
        """Holds customers in sorted order; returns the revision of each one that exists."""
        return self._counting.lock_customers(customer_ids)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Opens a span of the unit that is undone alone where it raises."""
        with translated(), self._connection.begin_nested():
            yield

    def insert_events(self, rows: Sequence[EventRow]) -> int:
        """Inserts events whose key is new; returns how many were."""
        return self._counting.insert_events(rows)

    def stored_events(self, keys: Collection[EventKey]) -> dict[EventKey, EventRow]:
        """Returns those events that are stored."""
        return self._counting.stored_events(keys)

    def add_conflicts(self, rows: Sequence[ConflictRow]) -> None:
        """Writes conflicts; one with the same other content is there once."""
        self._counting.add_conflicts(rows)

    def series_ids(self, keys: Collection[SeriesKey]) -> dict[SeriesKey, int]:
        """Returns the number of each series, making those that are new."""
        return self._counting.series_ids(keys)

    def add_to_buckets(self, changes: Sequence[BucketChange]) -> None:
        """Adds values and counts to buckets, for meters that sum or count."""
        self._counting.add_to_buckets(changes)

    def raise_buckets(self, changes: Sequence[BucketChange]) -> None:
        """Raises buckets to a value and adds counts, for meters that keep the largest."""
        self._counting.raise_buckets(changes)

    def put_latest_buckets(self, changes: Sequence[LatestChange]) -> None:
        """Puts values that are later than a bucket's, and adds counts."""
        self._counting.put_latest_buckets(changes)

    def bucket_values(self, keys: Collection[BucketKey]) -> dict[BucketKey, int]:
        """Returns the values of those buckets that exist."""
        return self._counting.bucket_values(keys)

    def charges(self, keys: Collection[ChargeKey]) -> dict[ChargeKey, ChargeRow]:
        """Returns those running charges that exist."""
        return self._counting.charges(keys)

    def add_charge_values(self, values: Collection[tuple[ChargeKey, str]]) -> dict[ChargeKey, int]:
        """Notes values that charges have seen; returns how many were new to each."""
        return self._counting.add_charge_values(values)

    def add_readings(self, rows: Sequence[ReadingRow]) -> None:
        """Writes what events brought meters for which their order matters."""
        self._counting.add_readings(rows)

    def put_charges(self, rows: Sequence[ChargeRow]) -> None:
        """Writes running charges over what is there."""
        self._counting.put_charges(rows)

    def mark_late_usage(self, periods: Collection[tuple[str, int]]) -> frozenset[tuple[str, int]]:
        """Marks those of the periods (subscription id, start in microseconds) that are invoiced."""
        return self._counting.mark_late_usage(periods)

    def mark_late_levels(self, since: Collection[tuple[str, int]]) -> None:
        """Marks a customer's invoiced periods that end after an instant."""
        self._counting.mark_late_levels(since)

    def running_charges(
        self, subscription_id: str, *, customer_id: str, period_start: datetime
    ) -> tuple[RunningCharge, ...]:
        """Returns the running charges of a period by price."""
        rows = self._connection.execute(
            RUNNING_CHARGES,
            {
                "of_customer": customer_id,
                "of_subscription": subscription_id,
                "of_period": period_start,
            },
        )
        return tuple(RunningCharge(*row) for row in rows)

    def delete_charges(
        self, subscription_id: str, *, customer_id: str, period_start: datetime | None = None
    ) -> None:
        """Deletes the running charges of one period, or of all periods of a subscription."""
        for cache in (running_charge, charge_value, charge_event_state):
            statement = cache.delete().where(
                cache.c.customer_id == customer_id, cache.c.subscription_id == subscription_id
            )
            if period_start is not None:
                statement = statement.where(cache.c.period_start == period_start)
            self._connection.execute(statement)

    def fold_usage(
        self, customer_id: str, *, start: datetime, end: datetime, meter_key: str | None = None
    ) -> tuple[SeriesUsage, ...]:
        """Folds the minute buckets of a customer over [start, end), by series."""
        values = {"of_customer": customer_id, "start": start, "end": end}
        statement = FOLD
        if meter_key is not None:
            statement = FOLD_METER
            values["of_meter"] = meter_key
        rows = self._connection.execute(statement, values).all()
        latest: dict[int, LatestValue] = {}
        if any(row[-1] is not None for row in rows):  # Some meter keeps the latest value.
            latest = self._latest_values(customer_id, start=start, end=end)
        return tuple(_series_usage_from_row(tuple(row), latest=latest.get(row[0])) for row in rows)

    def _latest_values(
        self, customer_id: str, *, start: datetime, end: datetime
    ) -> dict[int, LatestValue]:
        """Returns the last value of each series in [start, end), by (time, event id)."""
        bucket = usage_bucket.c
        place = func.row_number().over(
            partition_by=bucket.series_id,
            order_by=(bucket.last_time.desc(), bucket.last_event_id.desc()),
        )
        ranked = (
            select(
                bucket.series_id,
                type_coerce(bucket.last_time, Int64).label("time_us"),
                bucket.last_event_id,
                bucket.value,
                place.label("place"),
            )
            .where(
                bucket.customer_id == customer_id,
                bucket.minute >= start,
                bucket.minute < end,
                bucket.last_time.is_not(None),
            )
            .subquery()
        )
        found = select(ranked).where(ranked.c.place == 1)
        return {
            row.series_id: LatestValue(row.time_us, row.last_event_id, row.value)
            for row in self._connection.execute(found)
        }

    def usage_span(self, customer_id: str) -> tuple[datetime, datetime] | None:
        """Returns the first and the last minute with usage of a customer; None where none is."""
        first, last = self._connection.execute(SPAN, {"of_customer": customer_id}).one()
        return None if first is None or last is None else (first, last)

    def set_rating_failed(self, subscription_id: str, *, reason: str | None) -> None:
        """Notes why rating a subscription failed, or None: that it works again."""
        self._connection.execute(
            subscription.update()
            .where(subscription.c.id == subscription_id)
            .values(rating_failed_reason=reason)
        )

    def rating_failed(self, customer_id: str) -> dict[str, str]:
        """Returns the subscriptions of a customer whose rating failed, with the reason."""
        rows = self._connection.execute(FAILED, {"of_customer": customer_id})
        return {row[0]: row[1] for row in rows}

    def quarantined(
        self,
        *,
        customer_id: str | None = None,
        reason: str | None = None,
        after: EventKey | None = None,
        limit: int,
    ) -> tuple[EventRow, ...]:
        """Returns up to `limit` events that wait, by (customer, event id), those after a key."""
        columns = usage_event.c
        statement = (
            select(*EVENT_ROW)
            .where(EVENT_WAITS)
            .order_by(columns.customer_id, columns.event_id)
            .limit(limit)
        )
        if customer_id is not None:
            statement = statement.where(columns.customer_id == customer_id)
        if reason is not None:
            statement = statement.where(columns.quarantine_reason == reason)
        if after is not None:
            event_id, after_customer = after
            statement = statement.where(
                tuple_(columns.customer_id, columns.event_id) > tuple_(after_customer, event_id)
            )
        return tuple(EventRow(*row) for row in self._connection.execute(statement))

    def waiting_customers(self, *, after: str, limit: int) -> dict[str, bool]:
        """Returns customer ids that waiting events carry, in order, and whether each exists.

        It goes from id to id through the index of waiting events, however many each one has.
        """
        found, waits = usage_event.c.customer_id, EVENT_WAITS
        first = select(func.min(found).label("id")).where(waits, found > after)
        walk = first.cte("walk", recursive=True)
        following = select(func.min(found)).where(waits, found > walk.c.id).scalar_subquery()
        walk = walk.union_all(select(following).where(walk.c.id.is_not(None)))
        ids = select(walk.c.id).where(walk.c.id.is_not(None)).limit(limit).subquery()
        statement = select(ids.c.id, customer.c.id).select_from(
            ids.outerjoin(customer, customer.c.id == ids.c.id)
        )
        rows = self._connection.execute(statement.order_by(ids.c.id))
        return {waiting_id: known_id is not None for waiting_id, known_id in rows}

    def quarantined_count(self) -> int:
        """Returns how many events wait."""
        statement = select(func.count()).select_from(usage_event).where(EVENT_WAITS)
        return self._connection.execute(statement).scalar_one()

    def set_quarantine(
        self, keys: Sequence[EventKey], *, reason: str | None, detail: str | None
    ) -> int:
        """Gives waiting events another reason, DISCARDED, or None; returns how many waited."""
        if not keys:
            return 0
        changed = self._connection.execute(
            usage_event.update()
            .where(
                EVENT_WAITS,
                usage_event.c.event_id == bindparam("of_event"),
                usage_event.c.customer_id == bindparam("of_customer"),
            )
            .values(quarantine_reason=reason, quarantine_detail=detail),
            [{"of_event": event_id, "of_customer": customer_id} for event_id, customer_id in keys],
        )
        return changed.rowcount

    def conflicts(self, *, limit: int) -> tuple[UsageConflict, ...]:
        """Returns the newest conflicts that nobody has discarded, newest first."""
        columns = usage_conflict.c
        statement = (
            select(
                columns.event_id,
                columns.customer_id,
                columns.agent_ref,
                columns.receive_time,
                columns.detect_time,
                columns.payload,
            )
            .where(columns.discard_time.is_(None))
            .order_by(columns.detect_time.desc(), columns.event_id)
            .limit(limit)
        )
        return tuple(UsageConflict(*row) for row in self._connection.execute(statement))

    def discard_conflicts(
        self, *, event_ids: Collection[str], customer_id: str | None, at: datetime
    ) -> int:
        """Marks conflicts as looked at; returns how many were not yet."""
        columns = usage_conflict.c
        statement = usage_conflict.update().where(columns.discard_time.is_(None))
        if event_ids:
            statement = statement.where(columns.event_id.in_(sorted(event_ids)))
        if customer_id is not None:
            statement = statement.where(columns.customer_id == customer_id)
        return self._connection.execute(statement.values(discard_time=at)).rowcount


def _series_usage_from_row(row: Sequence[Any], *, latest: LatestValue | None) -> SeriesUsage:
    series_id, meter_key, dimensions, high, low, maximum, event_count, _ = row
    return SeriesUsage(
        series_id=series_id,
        meter_key=meter_key,
        dimensions=dimensions,
        total=(int(high) << HIGH_BITS) + int(low),
        maximum=maximum,
        event_count=int(event_count),
        latest=latest,
    )
