"""Events read back from the database.

A bucket says in which minutes to look, so that walking one customer's events costs what that
customer's minutes hold, whatever lies before, after and between them.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, select, tuple_, type_coerce

from billing_server.domain.ports.events import EventPosition
from billing_server.domain.ports.usage import EventRow
from billing_server.store.tables import usage_bucket, usage_correction, usage_event, usage_series
from billing_server.store.types import Int64
from metering.clock import floor_to_minute

_MINUTE = timedelta(minutes=1)
# Times as plain numbers, as counting has them.
_EVENT_ROW = tuple(
    type_coerce(usage_event.c[name], Int64) if name.endswith("_time") else usage_event.c[name]
    for name in (
        "event_id",
        "customer_id",
        "event_time",
        "receive_time",
        "agent_ref",
        "seq",
        "payload",
        "quarantine_reason",
        "quarantine_detail",
    )
)


class SqlEventReader:
    """Implements the port of reading events back."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def minutes(
        self, customer_id: str, *, meter_key: str, start: datetime, end: datetime, limit: int
    ) -> tuple[datetime, ...]:
        """Returns up to `limit` minutes of [start, end) in which a meter has usage, in order."""
        bucket, series = usage_bucket.c, usage_series.c
        counted = (
            select(bucket.minute)
            .join(usage_series, series.series_id == bucket.series_id)
            .where(
                bucket.customer_id == customer_id,
                bucket.minute >= start,
                bucket.minute < end,
                series.meter_key == meter_key,
            )
            .distinct()
            .order_by(bucket.minute)
            .limit(limit)
        )
        minutes = set(self._connection.execute(counted).scalars())
        minutes.update(self._corrected_minutes(customer_id, start=start, end=end))
        return tuple(sorted(minutes)[:limit])

    def _corrected_minutes(
        self, customer_id: str, *, start: datetime, end: datetime
    ) -> Iterator[datetime]:
        """Walks the minutes of corrected events: where all were voided there is no bucket."""
        event, correction = usage_event.c, usage_correction.c
        times = self._connection.execute(
            select(event.event_time)
            .join(
                usage_correction,
                (correction.event_id == event.event_id)
                & (correction.customer_id == event.customer_id),
            )
            .where(
                correction.customer_id == customer_id,
                event.event_time >= start,
                event.event_time < end,
            )
        )
        yield from (floor_to_minute(time) for time in times.scalars())

    def in_minute(
        self, customer_id: str, *, minute: datetime, after: EventPosition | None, limit: int
    ) -> tuple[EventRow, ...]:
        """Returns up to `limit` counted events of a minute by (event time, event id)."""
        event = usage_event.c
        query = select(*_EVENT_ROW).where(
            event.customer_id == customer_id,
            event.event_time >= minute,
            event.event_time < minute + _MINUTE,
            event.quarantine_reason.is_(None),
        )
        if after is not None:
            time = type_coerce(event.event_time, Int64)
            query = query.where(tuple_(time, event.event_id) > tuple_(*after))
        ordered = query.order_by(event.event_time, event.event_id).limit(limit)
        return tuple(EventRow(*row) for row in self._connection.execute(ordered))
