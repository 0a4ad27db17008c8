"""Readings, events by time, corrections and adjustments in the database."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select, tuple_, type_coerce

from billing_server.domain.ports.usage import ChargeKey, EventKey, EventRow
from billing_server.domain.ports.usage_facts import (
    Adjustment,
    Correction,
    CorrectionKind,
    Reading,
)
from billing_server.domain.usage.instants import instant_from_microseconds, instant_from_minute
from billing_server.store.tables import (
    charge_event_state,
    charge_value,
    running_charge,
    usage_adjustment,
    usage_bucket,
    usage_correction,
    usage_event,
    usage_reading,
    usage_series,
)
from billing_server.store.types import Int64, canonical_json
from billing_server.store.upsert import conflict_insert
from billing_server.store.usage_repository import EVENT_ROW

READINGS_BACK_MAX = 100
"""Readings of one look back; one that sets a level is nearly always the first."""
KEYS_MAX = 500
"""Keys of one statement."""


class SqlUsageFactRepository:
    """Implements the port of usage facts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def series_of(self, customer_id: str, *, meter_key: str) -> dict[int, Mapping[str, str]]:
        """Returns the series of a customer's meter: number to dimensions."""
        series = usage_series.c
        statement = (
            select(series.series_id, series.dimensions)
            .where(series.customer_id == customer_id, series.meter_key == meter_key)
            .order_by(series.series_id)
        )
        return {row.series_id: row.dimensions for row in self._connection.execute(statement)}

    def readings(
        self, customer_id: str, *, meter_key: str, start: datetime, end: datetime
    ) -> Iterator[Reading]:
        """Yields the readings of a meter in [start, end), by (time, event id)."""
        reading, series = usage_reading.c, usage_series.c
        statement = (
            _readings()
            .join(
                usage_series,
                (series.customer_id == reading.customer_id)
                & (series.series_id == reading.series_id),
            )
            .where(
                series.customer_id == customer_id,
                series.meter_key == meter_key,
                reading.event_time >= start,
                reading.event_time < end,
            )
            .order_by(reading.event_time, reading.event_id)
        )
        for row in self._connection.execute(statement):
            yield Reading(*row)

    def readings_back(
        self, customer_id: str, *, series_id: int, before: datetime
    ) -> Iterator[Reading]:
        """Yields the readings of a series before an instant, the last one first."""
        reading = usage_reading.c
        statement = (
            _readings()
            .where(
                reading.customer_id == customer_id,
                reading.series_id == series_id,
                reading.event_time < before,
            )
            .order_by(reading.event_time.desc(), reading.event_id.desc())
            .limit(READINGS_BACK_MAX)
        )
        after: tuple[int, str] | None = None
        while True:
            page = statement
            if after is not None:
                place = tuple_(type_coerce(reading.event_time, Int64), reading.event_id)
                page = statement.where(place < tuple_(*after))
            rows = self._connection.execute(page).all()
            for row in rows:
                yield Reading(*row)
            if len(rows) < READINGS_BACK_MAX:
                return
            after = rows[-1].time_us, rows[-1].event_id

    def events_between(
        self, customer_id: str, *, start: datetime, end: datetime
    ) -> tuple[EventRow, ...]:
        """Returns the counted events of a customer in [start, end), by (time, id)."""
        event = usage_event.c
        statement = (
            select(*EVENT_ROW)
            .where(
                event.event_time >= start,
                event.event_time < end,
                event.customer_id == customer_id,
                event.quarantine_reason.is_(None),
            )
            .order_by(event.event_time, event.event_id)
        )
        return tuple(EventRow(*row) for row in self._connection.execute(statement))

    def events_of_id(self, event_id: str) -> tuple[EventRow, ...]:
        """Returns the events with an id, which may belong to several customers."""
        statement = (
            select(*EVENT_ROW)
            .where(usage_event.c.event_id == event_id)
            .order_by(usage_event.c.customer_id)
        )
        return tuple(EventRow(*row) for row in self._connection.execute(statement))

    def add_correction(self, correction: Correction) -> None:
        """Writes a correction."""
        self._connection.execute(
            usage_correction.insert().values(
                event_id=correction.event_id,
                customer_id=correction.customer_id,
                version=correction.version,
                kind=correction.kind.value,
                quantities=correction.quantities,
                reason=correction.reason,
                create_time=correction.create_time,
            )
        )

    def corrections(self, keys: Collection[EventKey]) -> dict[EventKey, Correction]:
        """Returns the newest correction of those events that have one."""
        newest: dict[EventKey, Correction] = {}
        for part in _parts(list(keys)):
            columns = usage_correction.c
            statement = (
                select(usage_correction)
                .where(tuple_(columns.event_id, columns.customer_id).in_(part))
                .order_by(columns.version)
            )
            for row in self._connection.execute(statement):
                newest[row.event_id, row.customer_id] = correction_from_row(row)
        return newest

    def add_adjustment(self, adjustment: Adjustment) -> None:
        """Writes an adjustment."""
        self._connection.execute(
            usage_adjustment.insert().values(
                id=adjustment.id,
                customer_id=adjustment.customer_id,
                meter_key=adjustment.meter_key,
                dimensions=dict(adjustment.dimensions),
                event_time=adjustment.event_time,
                value=adjustment.value,
                reason=adjustment.reason,
                create_time=adjustment.create_time,
            )
        )

    def adjustment(self, adjustment_id: str) -> Adjustment | None:
        """Returns an adjustment; None where there is none of that id."""
        statement = select(usage_adjustment).where(usage_adjustment.c.id == adjustment_id)
        row = self._connection.execute(statement).first()
        return None if row is None else Adjustment(**row._mapping)

    def adjustments(
        self,
        customer_id: str,
        *,
        start: datetime,
        end: datetime,
        after: str | None = None,
        limit: int | None = None,
    ) -> tuple[Adjustment, ...]:
        """Returns a customer's adjustments that count in [start, end), by (time, id).

        Args:
            customer_id: whose.
            start: the first instant.
            end: the instant behind the last one.
            after: of those at `start`, only the ones behind this id; None: all.
            limit: at most so many; None: all.
        """
        columns = usage_adjustment.c
        statement = (
            select(usage_adjustment)
            .where(
                columns.event_time >= start,
                columns.event_time < end,
                columns.customer_id == customer_id,
            )
            .order_by(columns.event_time, columns.id)
            .limit(limit)
        )
        if after is not None:
            statement = statement.where(or_(columns.event_time > start, columns.id > after))
        return tuple(Adjustment(**row._mapping) for row in self._connection.execute(statement))

    def series_by_number(
        self, numbers: Collection[int]
    ) -> tuple[tuple[str, Mapping[str, str], str], ...]:
        """Returns meter key and dimensions, the latter also as canonical JSON, of some series."""
        series = usage_series.c
        found: list[tuple[str, Mapping[str, str], str]] = []
        for part in _parts(sorted(numbers)):
            statement = (
                select(series.meter_key, series.dimensions)
                .where(series.series_id.in_(part))
                .order_by(series.series_id)
            )
            found += [
                (row.meter_key, row.dimensions, canonical_json(row.dimensions))
                for row in self._connection.execute(statement)
            ]
        return tuple(found)

    def minutes_of_meters(self, meter_keys: Collection[str]) -> Iterator[tuple[str, int]]:
        """Yields (customer id, minute) of everything that some meters have counted, by customer."""
        bucket, series = usage_bucket.c, usage_series.c
        minute = type_coerce(bucket.minute, Int64)
        statement = (
            select(bucket.customer_id, minute)
            .distinct()
            .join(
                usage_series,
                (series.customer_id == bucket.customer_id) & (series.series_id == bucket.series_id),
            )
            .where(series.meter_key.in_(meter_keys))
            .order_by(bucket.customer_id, minute)
        )
        for row in self._connection.execute(statement).all():
            yield row[0], row[1]

    def delete_charge_rows(self, keys: Collection[ChargeKey]) -> None:
        """Deletes some running charges, with the values that they have seen."""
        for cache in (running_charge, charge_value, charge_event_state):
            columns = tuple_(*(cache.c[name] for name in _CHARGE_KEY))
            for part in _parts([_typed(key) for key in sorted(keys)]):
                self._connection.execute(cache.delete().where(columns.in_(part)))

    def event_state(self, key: ChargeKey) -> str | None:
        """Returns where the rating of a charge by event stopped; None: it begins anew."""
        return self._connection.execute(
            select(charge_event_state.c.state).where(_is_charge(key))
        ).scalar()

    def put_event_states(self, states: Mapping[ChargeKey, str]) -> None:
        """Writes where the rating of charges by event stopped."""
        if not states:
            return
        insert = conflict_insert(self._connection, charge_event_state)
        written = insert.on_conflict_do_update(
            index_elements=list(_CHARGE_KEY), set_={"state": insert.excluded.state}
        )
        rows = [
            {**dict(zip(_CHARGE_KEY, _typed(key), strict=True)), "state": state}
            for key, state in sorted(states.items())
        ]
        self._connection.execute(written, rows)

    def clear_minutes(self, customer_id: str, *, minutes: Collection[int]) -> frozenset[int]:
        """Deletes the buckets and readings of some minutes; returns the series that had any."""
        touched: set[int] = set()
        bucket, reading = usage_bucket.c, usage_reading.c
        for minute in sorted(minutes):
            start, end = instant_from_minute(minute), instant_from_minute(minute + 1)
            found = self._connection.execute(
                usage_bucket.delete()
                .where(bucket.minute == start, bucket.customer_id == customer_id)
                .returning(bucket.series_id)
            )
            touched |= set(found.scalars())
            # Of every series: a reading may be there without its bucket, which is then mended too.
            of_customer = select(usage_series.c.series_id).where(
                usage_series.c.customer_id == customer_id
            )
            self._connection.execute(
                usage_reading.delete().where(
                    reading.customer_id == customer_id,
                    reading.series_id.in_(of_customer),
                    reading.event_time >= start,
                    reading.event_time < end,
                )
            )
        return frozenset(touched)


_CHARGE_KEY = (
    "customer_id",
    "subscription_id",
    "period_start",
    "price_key",
    "segment",
    "group_key",
)
T = TypeVar("T")


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(items), KEYS_MAX):
        yield items[first : first + KEYS_MAX]


def _is_charge(key: ChargeKey) -> ColumnElement[bool]:
    columns = charge_event_state.c
    values = zip(_CHARGE_KEY, _typed(key), strict=True)
    return and_(*(columns[name] == value for name, value in values))


def _typed(key: ChargeKey) -> tuple[object, ...]:
    """Returns a key as the columns take it: with an instant."""
    customer_id, subscription_id, period_start_us, *rest = key
    return customer_id, subscription_id, instant_from_microseconds(period_start_us), *rest


def _readings() -> Select[Any]:
    reading = usage_reading.c
    return select(
        reading.series_id,
        type_coerce(reading.event_time, Int64).label("time_us"),
        reading.event_id,
        reading.value,
        reading.is_change,
        reading.money,
    )


def correction_from_row(row: Any) -> Correction:
    """Returns a correction from its row."""
    return Correction(
        event_id=row.event_id,
        customer_id=row.customer_id,
        version=row.version,
        kind=CorrectionKind(row.kind),
        quantities=row.quantities,
        reason=row.reason,
        create_time=row.create_time,
    )
