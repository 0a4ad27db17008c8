"""What a window of time should hold, counted from the stored events: the other side of a check.

It is written apart from ingest: it reads payloads in bulk, knows of no batches, routes or charges,
and comes to the same buckets and readings.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from billing_server.domain.catalog.model import Aggregation, Meter
from billing_server.domain.catalog.serialize import canonical_json
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import EventKey, LatestValue, ReadingRow, SeriesKey
from billing_server.domain.ports.usage_facts import Adjustment, Correction, CorrectionKind
from billing_server.domain.ports.usage_scan import (
    COUNT_BITS,
    PACKED_LIMIT,
    SERIES_BITS,
    ScannedEvent,
    SeriesSum,
    StoredBucket,
    WindowBuckets,
)
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

_COUNT_MASK: Final = (1 << COUNT_BITS) - 1
_SERIES_RANGE: Final = 1 << SERIES_BITS

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
    """What the buckets and readings of a window should hold.

    A bucket is one integer while it is counted: Python's integers do not overflow, and one addition
    is half the work of two.
    """

    def __init__(self) -> None:
        self.packed: dict[int, int] = {}
        """State by place, both packed as the scan does it."""
        self.others: dict[Place, BucketState] = {}
        """What is not told by value and count, or too large; complete after `finish`."""
        self.ordered: dict[Place, OrderedGroup] = {}
        self.readings: dict[int, list[ReadingRow]] = {}
        self.meters: dict[int, Meter] = {}
        """Of the series with more than a sum."""

    def add_plain(self, place: Place, *, value: int, count: int) -> None:
        """Adds to a bucket of which only the sum counts."""
        key = (place[0] << SERIES_BITS) + place[1]
        self.packed[key] = self.packed.get(key, 0) + (value << COUNT_BITS) + count

    def finish(self) -> "Expected":
        """Brings what was counted into the two forms of stored buckets."""
        packed = self.packed
        for place, group in self.ordered.items():
            state = _ordered_state(group, aggregation=self.meters[place[1]].aggregation)
            value, count, last_time, _ = state
            if last_time is None:
                packed[(place[0] << SERIES_BITS) + place[1]] = (value << COUNT_BITS) + count
            else:
                self.others[place] = state
        if packed and (
            max(packed.values()) >= PACKED_LIMIT or min(packed.values()) < -PACKED_LIMIT
        ):
            large = [key for key, state in packed.items() if not _is_packed(state)]
            self.others |= {_place(key): _unpacked(packed.pop(key)) for key in large}
        return self

    def equals(self, stored: WindowBuckets) -> bool:
        """Tells whether the stored buckets of the window are just these."""
        return (
            stored.bucket_count == len(self.packed) + len(self.others)
            and stored.packed == self.packed
            and {(each[0], each[2]): each[3:] for each in stored.others} == self.others
        )

    def end_minute(self, *, default: int) -> int:
        """Returns the minute behind the last bucket; `default` where there is none."""
        minutes = [minute for minute, _ in self.others]
        if self.packed:
            minutes.append(_place(max(self.packed))[0])
        return max(minutes) + 1 if minutes else default

    def bucket(self, place: Place) -> BucketState | None:
        """Returns what a bucket should hold; None: it should not be there."""
        packed = self.packed.get((place[0] << SERIES_BITS) + place[1])
        return self.others.get(place) if packed is None else _unpacked(packed)

    def compare(self, stored: Sequence[StoredBucket]) -> tuple[list[StoredBucket], list[Place]]:
        """Returns the stored buckets that are not as expected, and the places of missing ones.

        Args:
            stored: every bucket of the window.
        """
        differing = [each for each in stored if self.bucket((each[0], each[2])) != each[3:]]
        wanted = {_place(key) for key in self.packed} | self.others.keys()
        return differing, sorted(wanted - {(each[0], each[2]) for each in stored})

    def sums(self, *, window: int) -> list[SeriesSum]:
        """Returns what the buckets of each series come to; of levels that says nothing."""
        packed: dict[int, int] = {}
        mask = _SERIES_RANGE - 1
        for key, state in self.packed.items():
            series_id = key & mask
            packed[series_id] = packed.get(series_id, 0) + state
        found = {
            series_id: SeriesSum(series_id, window, *divmod(state, 1 << COUNT_BITS))
            for series_id, state in packed.items()
        }
        for (_, series_id), (value, count, last_time, last_id) in self.others.items():
            known = found.get(series_id, SeriesSum(series_id, window, 0, 0))
            latest = known.latest
            if last_time is not None:
                latest = max(filter(None, (latest, LatestValue(last_time, last_id or "", value))))
            found[series_id] = known._replace(
                total=known.total + value, event_count=known.event_count + count, latest=latest
            )
        for (_, series_id), group in self.ordered.items():
            known = found[series_id]
            found[series_id] = known._replace(maximum=max(known.maximum, group.largest))
        return list(found.values())


def _ordered_state(group: OrderedGroup, *, aggregation: Aggregation) -> BucketState:
    if aggregation.is_summed:
        return group.total, group.count, None, None
    if aggregation in {Aggregation.LATEST, Aggregation.TIME_WEIGHTED}:
        return group.latest, group.count, group.time_us, group.event_id
    return group.largest, group.count, None, None


def _is_packed(state: int) -> bool:
    return -PACKED_LIMIT <= state < PACKED_LIMIT


def _unpacked(state: int) -> BucketState:
    return state >> COUNT_BITS, state & _COUNT_MASK, None, None


def _place(key: int) -> Place:
    """Returns minute and series; the series of one that is not stored is negative."""
    minute, series_id = divmod(key, _SERIES_RANGE)
    if series_id >= _SERIES_RANGE // 2:
        return minute + 1, series_id - _SERIES_RANGE
    return minute, series_id


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
        return expected.finish()

    def _count_part(
        self,
        unit: UnitOfWork,
        *,
        events: Sequence[ScannedEvent],
        newest: Mapping[EventKey, Correction],
        expected: Expected,
    ) -> None:
        feeds, packed = self._feeds, expected.packed
        looks_at_every_event = _NO_QUANTITY in self._by_quantity
        read = self._payloads.read([event[3] for event in events])
        for event, (sent, dimensions) in zip(events, read, strict=True):
            quantities = sent if not newest else _corrected(sent, event=event, newest=newest)
            if quantities is None:
                continue
            if looks_at_every_event:
                quantities = [*quantities, (_NO_QUANTITY, 1)]
            minute_bits = event[1] // MICROSECONDS_PER_MINUTE << SERIES_BITS
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
                        key = minute_bits + series_id
                        packed[key] = packed.get(key, 0) + value * factor + step

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
            factor, step = 0, (1 << COUNT_BITS) + 1
        else:
            factor, step = 10**meter.decimals << COUNT_BITS, 1
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
) -> list[Quantity] | None:
    """Returns the quantities as they count; None where the event is void."""
    correction = newest.get((event[2], event[0]))
    if correction is None:
        return sent
    if correction.kind is CorrectionKind.VOID:
        return None
    return list((correction.quantities or {}).items())
