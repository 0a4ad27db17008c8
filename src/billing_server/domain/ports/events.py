"""The port of reading events back: what stands behind a charge."""

from datetime import datetime
from typing import Protocol

from billing_server.domain.ports.usage import EventRow

EventPosition = tuple[int, str]
"""(event time in microseconds since 1970 UTC, event id): the order in which events are walked."""


class EventReader(Protocol):
    """Counted events of one customer, in order of time."""

    def minutes(
        self, customer_id: str, *, meter_key: str, start: datetime, end: datetime, limit: int
    ) -> tuple[datetime, ...]:
        """Return up to `limit` minutes of [start, end) in which a meter has usage, in order.

        Args:
            customer_id: whose.
            meter_key: of which meter.
            start: on a whole minute.
            end: on a whole minute, exclusive.
            limit: at most so many.
        """

    def in_minute(
        self, customer_id: str, *, minute: datetime, after: EventPosition | None, limit: int
    ) -> tuple[EventRow, ...]:
        """Return up to `limit` counted events of a minute by (event time, event id).

        Args:
            customer_id: whose.
            minute: where it begins.
            after: only those behind this position; None: from the first.
            limit: at most so many.
        """
