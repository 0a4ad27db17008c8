"""The port of looking at all usage there is, window by window, to check what was made of it."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from billing_server.domain.ports.usage import ReadingRow, SeriesKey
from billing_server.domain.ports.usage_facts import Adjustment, Correction

ScannedEvent = tuple[str, int, str, bytes]
"""A counted event: customer, event time in microseconds, id, payload. A plain tuple, as the driver
makes it: there are millions."""

StoredBucket = tuple[int, str, int, int, int, int | None, str | None]
"""A minute bucket: minute, customer, series, value, event count, last time in microseconds and last
event id. A plain tuple, too."""


class UsageScan(Protocol):
    """All usage of all customers in windows of time; each window's rows are few enough to keep."""

    def first_minute(self) -> int | None:
        """Return the first minute with an event, an adjustment or a bucket; None: none has."""

    def window_end(self, minute: int, *, limit: int) -> int | None:
        """Return the minute at which a window of some `limit` events ends; None: it is the last.

        Args:
            minute: where the window begins.
            limit: events; a single minute may hold more.
        """

    def events(self, start: int, *, end: int | None) -> list[ScannedEvent]:
        """Return the counted events of the minutes [start, end)."""

    def buckets(self, start: int, *, end: int | None) -> list[StoredBucket]:
        """Return the buckets of the minutes [start, end), by minute."""

    def readings(
        self, customer_id: str, *, series_id: int, start: int, end: int | None
    ) -> list[ReadingRow]:
        """Return the readings of a series in the minutes [start, end), by (time, event id)."""

    def corrections(self, start: int, *, end: int | None) -> list[Correction]:
        """Return every correction of an event with a time in [start, end), oldest first."""

    def adjustments(self, start: int, *, end: int | None) -> list[Adjustment]:
        """Return the adjustments that count in [start, end)."""

    def known_series(self, keys: Collection[SeriesKey]) -> dict[SeriesKey, int]:
        """Return the numbers of those series that are there; makes none."""

    def customers_with_usage(self, *, after: str, limit: int) -> list[str]:
        """Return ids of customers with a series or a running charge, in order, behind one."""

    def charge_periods(self, customer_id: str) -> list[tuple[str, datetime]]:
        """Return the subscriptions and period starts for which a customer has running charges."""
