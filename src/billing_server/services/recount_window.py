"""What a window of time should hold, counted from the stored events: the other side of a check.

It is written apart from ingest: it reads payloads in bulk, knows of no batches, routes or charges,
and comes to the same buckets and readings.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from billing_server.domain.catalog.model import Aggregation, Meter
from billing_server.domain.catalog.serialize import canonical_json
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import EventKey, ReadingRow, SeriesKey
from billing_server.domain.ports.usage_facts import Adjustment, Correction, CorrectionKind
from billing_server.domain.ports.usage_scan import ScannedEvent, StoredBucket
from billing_server.domain.usage.instants import (
    MICROSECONDS_PER_MINUTE,
    microseconds_from_instant,
)
from billing_server.services.batch_buckets import OrderedGroup, money_of
from billing_server.services.stored_payloads import Dimensions, PayloadReader, Quantity
from metering.quantity import scale_quantity

PAYLOADS_TOGETHER: Final = 2_000
"""Payloads that are read in one go."""
FEEDS_CACHED_MAX: Final = 100_000
"""Customers' dimensions whose series are remembered."""
_COUNTING: Final = frozenset({Aggregation.COUNT, Aggregation.UNIQUE_COUNT})
_NO_QUANTITY: Final = ""

_COUNT_BITS: Final = 32
"""A plain bucket is one integer while it is counted: the value above these bits, the number of
events in them. Python's integers do not overflow, and one addition is half the work of two."""
_COUNT_MASK: Final = (1 << _COUNT_BITS) - 1

Place = tuple[int, int]
"""Minute and series."""
BucketState = tuple[int, int, int | None, str | None]
"""Value, event count, and time and id of the last event."""


class _Feed(NamedTuple):
    """One series that a quantity of an event feeds."""

    series_id: int
    meter: Meter
    factor: int | None
    """By which a whole number is multiplied in a packed sum; None: more than a sum counts."""
    step: int
    """What an event adds to a packed sum besides."""
    money: frozenset[str] | None
    """Quantities kept with each event; None: none is kept."""

    @property
    def is_counting(self) -> bool:
        """Return whether events count and their quantities do not."""
        return self.meter.aggregation in _COUNTING

    def scaled(self, value: int | str) -> int:
        """Return what a quantity adds to the value, in the meter's smallest unit."""
        if self.is_counting:
            return 1
        return scale_quantity(str(value), decimals=self.meter.decimals)


class Expected:
    """What the buckets and readings of a window should hold."""

    def __init__(self) -> None:
        self.sums: dict[int, dict[int, int]] = {}
        """Packed sums by minute and series."""
        self.ordered: dict[Place, OrderedGroup] = {}
        self.readings: dict[int, list[ReadingRow]] = {}
        self.meters: dict[int, Meter] = {}
        """Of the series with more than a sum."""

    def add_plain(self, place: Place, *, value: int, count: int) -> None:
        """Adds to a bucket of which only the sum counts."""
        cells = self.sums.setdefault(place[0], {})
        cells[place[1]] = cells.get(place[1], 0) + (value << _COUNT_BITS) + count

    def bucket(self, place: Place) -> BucketState | None:
        """Returns what a bucket should hold; None: it should not be there."""
        packed = self.sums.get(place[0], {}).get(place[1])
        if packed is not None:
            return packed >> _COUNT_BITS, packed & _COUNT_MASK, None, None
        group = self.ordered.get(place)
        if group is None:
            return None
        aggregation = self.meters[place[1]].aggregation
        if aggregation.is_summed:
            return group.total, group.count, None, None
        if aggregation in {Aggregation.LATEST, Aggregation.TIME_WEIGHTED}:
            return group.latest, group.count, group.time_us, group.event_id
        return group.largest, group.count, None, None

    def compare(self, stored: Sequence[StoredBucket]) -> tuple[list[StoredBucket], list[Place]]:
        """Returns the stored buckets that are not as expected, and the places of missing ones.

        Args:
            stored: every bucket of the window, by minute.
        """
        differing, at = [], -1
        cells: Mapping[int, int] = {}
        for bucket in stored:
            minute, _, series_id, value, count, last_time, last_id = bucket
            if minute != at:
                at, cells = minute, self.sums.get(minute, {})
            packed = cells.get(series_id)
            if (
                packed is None
                or packed >> _COUNT_BITS != value
                or packed & _COUNT_MASK != count
                or last_time is not None
                or last_id is not None
            ) and self.bucket((minute, series_id)) != bucket[3:]:
                differing.append(bucket)
        unexpected = sum(self.bucket((each[0], each[2])) is None for each in differing)
        wanted_count = sum(map(len, self.sums.values())) + len(self.ordered)
        if len(stored) - unexpected == wanted_count:  # So it is nearly always.
            return differing, []
        return differing, sorted(self._places() - {(each[0], each[2]) for each in stored})

    def _places(self) -> set[Place]:
        plain = {(minute, series) for minute, found in self.sums.items() for series in found}
        return plain | self.ordered.keys()


class WindowCounter:
    """Counts windows from their events; remembers series between them, within a bound."""

    def __init__(
        self, meters: Iterable[Meter], *, kept_by_event: Mapping[str, frozenset[str]]
    ) -> None:
        self._by_quantity: dict[str, list[Meter]] = {}
        self._by_key: dict[str, Meter] = {}
        for meter in meters:
            self._by_quantity.setdefault(meter.quantity, []).append(meter)
            self._by_key[meter.key] = meter
        self._kept_by_event = kept_by_event
        self._payloads = PayloadReader()
        self._feeds: dict[tuple[str, int], dict[str, tuple[_Feed, ...]]] = {}
        """By customer and dimensions, then by the quantity's name."""
        self._missing = 0
        self.owners: dict[int, SeriesKey] = {}
        """Series of the windows so far by number; one that is not stored has a negative one."""

    def count(
        self,
        unit: UnitOfWork,
        *,
        events: Sequence[ScannedEvent],
        corrections: Sequence[Correction] = (),
        adjustments: Sequence[Adjustment] = (),
    ) -> Expected:
        """Returns what a window should hold.

        Args:
            unit: its reads see one state.
            events: that are counted, of the window.
            corrections: of its events, oldest first.
            adjustments: that count in it.
        """
        expected = Expected()
        newest = {(each.event_id, each.customer_id): each for each in corrections}
        if len(self._feeds) > FEEDS_CACHED_MAX:
            self._feeds.clear()
            self.owners.clear()
        for first in range(0, len(events), PAYLOADS_TOGETHER):
            part = events[first : first + PAYLOADS_TOGETHER]
            self._count_part(unit, events=part, newest=newest, expected=expected)
        for adjustment in adjustments:
            self._adjust(unit, adjustment, expected=expected)
        return expected

    def _count_part(
        self,
        unit: UnitOfWork,
        *,
        events: Sequence[ScannedEvent],
        newest: Mapping[EventKey, Correction],
        expected: Expected,
    ) -> None:
        feeds, sums, at = self._feeds, expected.sums, -1
        cells: dict[int, int] = {}
        looks_at_every_event = _NO_QUANTITY in self._by_quantity
        read = self._payloads.read([event[3] for event in events])
        for event, (sent, dimensions) in zip(events, read, strict=True):
            quantities = sent if not newest else _corrected(sent, event=event, newest=newest)
            if looks_at_every_event and quantities:
                quantities = [*quantities, (_NO_QUANTITY, 1)]
            minute = event[1] // MICROSECONDS_PER_MINUTE
            if minute != at:  # Seldom: the events come about in the order of time.
                at, cells = minute, sums.setdefault(minute, {})
            place = (event[0], dimensions.number)
            by_name = feeds.get(place)
            if by_name is None:
                by_name = feeds[place] = {}
            for name, value in quantities:
                found = by_name.get(name)
                if found is None:
                    found = self._find(unit, event[0], dimensions=dimensions, name=name)
                    by_name[name] = found
                for feed in found:
                    series_id, _, factor, step, _ = feed
                    if factor is None or isinstance(value, str):
                        self._add(expected, feed, value=value, event=event, quantities=quantities)
                    else:
                        cells[series_id] = cells.get(series_id, 0) + value * factor + step

    def _find(
        self, unit: UnitOfWork, customer_id: str, *, dimensions: Dimensions, name: str
    ) -> tuple[_Feed, ...]:
        values = dimensions.values
        return tuple(
            self._feed(unit, (customer_id, meter.key, dimensions.json))
            for meter in self._by_quantity.get(name, ())
            if all(values.get(key) == value for key, value in meter.where.items())
            and (not meter.of or values.get(meter.of))
        )

    def _feed(self, unit: UnitOfWork, key: SeriesKey) -> _Feed:
        number = unit.usage_scan.known_series([key]).get(key)
        if number is None:
            self._missing -= 1
            number = self._missing
        self.owners[number] = key
        meter = self._by_key[key[1]]
        is_level = meter.aggregation is Aggregation.TIME_WEIGHTED
        money = self._kept_by_event.get(meter.key, frozenset() if is_level else None)
        is_plain = meter.aggregation.is_summed and money is None
        if meter.aggregation in _COUNTING:
            factor, step = 0, (1 << _COUNT_BITS) + 1
        else:
            factor, step = 10**meter.decimals << _COUNT_BITS, 1
        return _Feed(number, meter, factor if is_plain else None, step, money)

    def _add(
        self,
        expected: Expected,
        feed: _Feed,
        *,
        value: int | str,
        event: ScannedEvent,
        quantities: Sequence[Quantity],
    ) -> None:
        """Adds what is no whole number, or more than a sum."""
        customer_id, time_us, event_id, _ = event
        scaled = feed.scaled(value)
        minute = time_us // MICROSECONDS_PER_MINUTE
        if feed.factor is not None:
            expected.add_plain((minute, feed.series_id), value=scaled, count=1)
            return
        place = (minute, feed.series_id)
        expected.meters[feed.series_id] = feed.meter
        ordered = expected.ordered.setdefault(place, OrderedGroup())
        ordered.add(scaled, time_us=time_us, event_id=event_id)
        if feed.money is not None:
            texts = {name: str(each) for name, each in quantities}
            money = money_of(texts, names=feed.money)
            row = ReadingRow(customer_id, feed.series_id, time_us, event_id, scaled, 0, money)
            expected.readings.setdefault(feed.series_id, []).append(row)

    def _adjust(self, unit: UnitOfWork, made: Adjustment, *, expected: Expected) -> None:
        key = (made.customer_id, made.meter_key, canonical_json(dict(made.dimensions)))
        feed = self._feed(unit, key)
        time_us = microseconds_from_instant(made.event_time)
        place = (time_us // MICROSECONDS_PER_MINUTE, feed.series_id)
        if feed.factor is not None:
            expected.add_plain(place, value=made.value, count=0)
            return
        expected.meters[feed.series_id] = feed.meter
        ordered = expected.ordered.setdefault(place, OrderedGroup())
        ordered.change(made.value, time_us=time_us, event_id=made.id)
        if feed.money is not None:
            row = ReadingRow(
                made.customer_id, feed.series_id, time_us, made.id, made.value, 1, None
            )
            expected.readings.setdefault(feed.series_id, []).append(row)


def _corrected(
    sent: list[Quantity],
    *,
    event: ScannedEvent,
    newest: Mapping[EventKey, Correction],
) -> list[Quantity]:
    """Returns the quantities as they count; none where the event is void."""
    correction = newest.get((event[2], event[0]))
    if correction is None:
        return sent
    if correction.kind is CorrectionKind.VOID:
        return []
    return list((correction.quantities or {}).items())
