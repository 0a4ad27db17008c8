"""The port of usage: events under their unique key, minute buckets, running charges.

The methods of counting take and give plain tuples of integers and text: they run for every event.
Instants in them are microseconds since 1970 UTC (`_us`) or minutes since 1970 UTC (`minute`).
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple, Protocol

DISCARDED: Final = "DISCARDED"
"""In place of the reason of an event that waited: an operator discarded it. It is never counted; it
stays stored, so that its id is known for good (R14)."""
EventKey = tuple[str, str]
"""(event id, customer id): the key that makes counting exactly-once."""
SeriesKey = tuple[str, str, str]
"""(customer id, meter key, dimensions as canonical JSON)."""
BucketKey = tuple[int, str, int]
"""(minute, customer id, series id)."""


class EventRow(NamedTuple):
    """An event as it is stored."""

    event_id: str
    customer_id: str
    event_time_us: int
    receive_time_us: int
    agent_ref: int
    seq: int
    payload: bytes
    quarantine_reason: str | None
    quarantine_detail: str | None

    @property
    def is_waiting(self) -> bool:
        """Tell whether the event is neither counted nor discarded."""
        return self.quarantine_reason not in (None, DISCARDED)


class ConflictRow(NamedTuple):
    """An event that came under a used id with other content."""

    event_id: str
    customer_id: str
    content_sha256: bytes
    agent_ref: int
    seq: int
    receive_time_us: int
    detect_time_us: int
    payload: bytes


class BucketChange(NamedTuple):
    """What events bring to one series in one minute."""

    minute: int
    customer_id: str
    series_id: int
    value: int
    event_count: int


class LatestChange(NamedTuple):
    """What events bring to one series in one minute, of which only the last one's value stays."""

    minute: int
    customer_id: str
    series_id: int
    value: int
    event_count: int
    last_time_us: int
    last_event_id: str


class ReadingRow(NamedTuple):
    """What one event brought a meter for which the order of events matters."""

    customer_id: str
    series_id: int
    event_time_us: int
    event_id: str
    value: int
    """In the meter's smallest unit; negative only where it is a change."""
    is_change: int
    """1: the value changes the level before it; 0: it is the level from here on."""
    money: str | None
    """Quantities that prices read as money, as canonical JSON; None: none does."""


class ChargeKey(NamedTuple):
    """Which usage price of which period."""

    customer_id: str
    subscription_id: str
    period_start_us: int
    price_key: str
    segment: int
    group_key: str = ""
    """Values of the dimensions that the price is grouped by, as canonical JSON; empty: the
    whole."""


class ChargeRow(NamedTuple):
    """A running charge with what it comes to."""

    key: ChargeKey
    quantity: int
    """In the meter's smallest unit; without bounds. Of an average, the sum of the values."""
    amount_exact: Decimal
    """In major units of the plan's currency."""
    amount_minor: int
    """Rounded once, in the currency's minor unit."""
    value_count: int = 0
    """How many values an average is of; 0 for other aggregations."""
    last_time_us: int | None = None
    """Of the event that brought the latest value; None for other aggregations."""
    last_event_id: str | None = None
    """Of the same event."""


@dataclass(frozen=True, slots=True)
class RunningCharge:
    """What one usage price of a running period comes to so far."""

    subscription_id: str
    """Whose."""
    period_start: datetime
    """Which period."""
    price_key: str
    """Which price."""
    segment: int
    """Which span of the period, from 0."""
    quantity: int
    """In the meter's smallest unit; of an average, the sum of the values."""
    amount_exact: Decimal
    """In major units of the plan's currency."""
    amount_minor: int
    """Rounded, in the currency's minor unit."""
    group_key: str = ""
    """Values of the dimensions that the price is grouped by, as canonical JSON; empty: the
    whole. Under shared tiers a group's row carries its quantity and no amount."""
    value_count: int = 0
    """How many values an average is of; 0 for other aggregations."""


class LatestValue(NamedTuple):
    """The value of the last of some events; compares by (time, event id)."""

    time_us: int
    event_id: str
    value: int


@dataclass(frozen=True, slots=True)
class SeriesUsage:
    """The fold of one series over a span of whole minutes."""

    series_id: int
    """Number of the series."""
    meter_key: str
    """Which meter."""
    dimensions: Mapping[str, str]
    """With which dimensions."""
    total: int
    """Sum of the buckets in the meter's smallest unit: the quantity of sum and count meters."""
    maximum: int
    """Largest bucket in the meter's smallest unit: the quantity of max meters."""
    event_count: int
    """Events that fed it. >= 0; adjustments are none."""
    latest: LatestValue | None = None
    """Of the last event by (time, id): the quantity of meters that keep the latest value."""
    level_time: int = 0
    """Level × microseconds, summed over the span, in the meter's smallest unit: what weights a
    level by time."""


@dataclass(frozen=True, slots=True)
class UsageConflict:
    """An event that came under a used id with other content, for an operator."""

    event_id: str
    """The id."""
    customer_id: str
    """Whose."""
    agent_ref: int
    """Agent that shipped it."""
    receive_time: datetime
    """When that agent received it."""
    detect_time: datetime
    """When the server saw it."""
    payload: bytes
    """The serialized UsageEvent."""


class UsageRepository(Protocol):
    """Usage of all customers."""

    def share_catalog(self) -> int:
        """Return the catalog's revision and keep it from changing until the end of the unit."""

    def lock_customers(self, customer_ids: Collection[str]) -> dict[str, int]:
        """Hold customers in sorted order; return the revision of each one that exists."""

    def savepoint(self) -> AbstractContextManager[object]:
        """Open a span of the unit that is undone alone where it raises."""

    def insert_events(self, rows: Sequence[EventRow]) -> int:
        """Insert events whose key is new; return how many were."""

    def stored_events(self, keys: Collection[EventKey]) -> dict[EventKey, EventRow]:
        """Return those events that are stored."""

    def add_conflicts(self, rows: Sequence[ConflictRow]) -> None:
        """Write conflicts; one with the same other content is there once."""

    def series_ids(self, keys: Collection[SeriesKey]) -> dict[SeriesKey, int]:
        """Return the number of each series, making those that are new."""

    def add_to_buckets(self, changes: Sequence[BucketChange]) -> None:
        """Add values and counts to buckets, for meters that sum or count."""

    def raise_buckets(self, changes: Sequence[BucketChange]) -> None:
        """Raise buckets to a value and add counts, for meters that keep the largest."""

    def put_latest_buckets(self, changes: Sequence[LatestChange]) -> None:
        """Put values that are later than a bucket's, and add counts."""

    def bucket_values(self, keys: Collection[BucketKey]) -> dict[BucketKey, int]:
        """Return the values of those buckets that exist."""

    def charges(self, keys: Collection[ChargeKey]) -> dict[ChargeKey, ChargeRow]:
        """Return those running charges that exist."""

    def add_charge_values(self, values: Collection[tuple[ChargeKey, str]]) -> dict[ChargeKey, int]:
        """Note values that charges on unique counts have seen; return how many were new to each."""

    def add_readings(self, rows: Sequence[ReadingRow]) -> None:
        """Write what events brought meters for which their order matters."""

    def put_charges(self, rows: Sequence[ChargeRow]) -> None:
        """Write running charges over what is there."""

    def mark_late_usage(self, periods: Collection[tuple[str, int]]) -> frozenset[tuple[str, int]]:
        """Mark those of the periods (subscription id, start in microseconds) that are invoiced.

        Returns:
            Those that are, whether or not they were marked before.
        """

    def mark_late_levels(self, since: Collection[tuple[str, int]]) -> None:
        """Mark a customer's invoiced periods that end after an instant.

        A level that is set in one period holds in those after it.

        Args:
            since: customer ids with instants in microseconds.
        """

    def running_charges(
        self, subscription_id: str, *, customer_id: str, period_start: datetime
    ) -> tuple[RunningCharge, ...]:
        """Return the running charges of a period by price."""

    def delete_charges(
        self, subscription_id: str, *, customer_id: str, period_start: datetime | None = None
    ) -> None:
        """Delete the running charges of one period, or of all periods of a subscription."""

    def fold_usage(
        self, customer_id: str, *, start: datetime, end: datetime, meter_key: str | None = None
    ) -> tuple[SeriesUsage, ...]:
        """Fold the minute buckets of a customer over [start, end), by series.

        Args:
            customer_id: whose.
            start: on a whole minute.
            end: on a whole minute, exclusive.
            meter_key: only this meter; None: all.
        """

    def usage_span(self, customer_id: str) -> tuple[datetime, datetime] | None:
        """Return the first and the last minute with usage of a customer; None where none is."""

    def set_rating_failed(self, subscription_id: str, *, reason: str | None) -> None:
        """Note why rating a subscription failed, or None: that it works again."""

    def rating_failed(self, customer_id: str) -> dict[str, str]:
        """Return the subscriptions of a customer whose rating failed, with the reason."""

    def quarantined(
        self,
        *,
        customer_id: str | None = None,
        reason: str | None = None,
        after: EventKey | None = None,
        limit: int,
    ) -> tuple[EventRow, ...]:
        """Return up to `limit` events that wait, by (customer, event id), those after a key."""

    def waiting_customers(self, *, after: str, limit: int) -> dict[str, bool]:
        """Return customer ids that waiting events carry, in order, and whether each exists.

        Args:
            after: only ids behind this one; empty: from the first.
            limit: at most so many.
        """

    def quarantined_count(self) -> int:
        """Return how many events wait."""

    def set_quarantine(
        self, keys: Sequence[EventKey], *, reason: str | None, detail: str | None
    ) -> int:
        """Give waiting events another reason, `DISCARDED`, or None: they are counted.

        Returns:
            How many of them were waiting; the others are left as they are.
        """

    def conflicts(self, *, limit: int) -> tuple[UsageConflict, ...]:
        """Return the newest conflicts that nobody has discarded, newest first."""

    def discard_conflicts(
        self, *, event_ids: Collection[str], customer_id: str | None, at: datetime
    ) -> int:
        """Mark conflicts as looked at; return how many were not yet.

        Args:
            event_ids: only under these ids; empty: under all of the customer.
            customer_id: only of this customer; None: of all that have these ids.
            at: when.
        """
