"""The port of looking at all usage there is, window by window, to check what was made of it."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from billing_server.domain.ports.usage import LatestValue, ReadingRow, SeriesKey
from billing_server.domain.ports.usage_facts import Adjustment, Correction

ScannedEvent = tuple[str, int, str, bytes]
"""A counted event: customer, event time in microseconds, id, payload. A plain tuple, as the driver
makes it: there are millions."""

StoredBucket = tuple[int, str, int, int, int, int | None, str | None]
"""A minute bucket: minute, customer, series, value, event count, last time in microseconds and last
event id. A plain tuple, too."""


SERIES_BITS: Final = 32
"""A place is one integer: the minute above these bits, the number of the series in them."""
COUNT_BITS: Final = 24
"""What a bucket holds is one integer: the value above these bits, the number of events in them. A
minute with more than 16 million events would need gigabytes of memory anyway."""
PACKED_LIMIT: Final = 1 << 62
"""Such an integer lies in [−limit, limit): values of 38 bits. Larger ones are kept as they are."""


class WindowBuckets(NamedTuple):
    """The buckets of a window, made so that millions of them are compared at once."""

    packed: dict[int, int]
    """Place to state, of buckets that are told by value and count, neither of them large."""
    others: list[StoredBucket]
    """The rest: those with a last event, and large ones."""
    bucket_count: int
    """Of them all; more than the two hold where two have the same place."""


class SeriesSum(NamedTuple):
    """What the buckets of a series in one window come to."""

    series_id: int
    """Which series."""
    window: int
    """Which window, from 0."""
    total: int
    """Sum of the buckets, in the meter's smallest unit."""
    event_count: int
    """Events that fed them, >= 0."""
    maximum: int = 0
    """Largest bucket; 0 where the meter does not ask for it."""
    latest: LatestValue | None = None
    """Of the last event; None where the meter does not keep it."""


class SeriesSums(Protocol):
    """What a check has summed, kept outside the memory until it is done."""

    def add(self, sums: Iterable[tuple[str, SeriesSum]]) -> None:
        """Keep sums, each with its customer."""

    def of_customer(self, customer_id: str) -> list[SeriesSum]:
        """Return the sums of a customer's series, by window."""


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

    def window_buckets(self, start: int, *, end: int | None) -> WindowBuckets:
        """Return the same buckets, packed."""

    def strayed_buckets(self, *, limit: int) -> list[tuple[int, str, int, str | None]]:
        """Return buckets under another customer than their series has.

        Returns:
            Minute, customer, series, and the customer of the series; None: there is no such series.
        """

    def series(self, customer_id: str) -> dict[int, tuple[str, Mapping[str, str]]]:
        """Return meter key and dimensions of a customer's series, by number."""

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
