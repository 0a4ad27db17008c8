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
from billing_server.domain.ports.usage_scan import ScannedEvent
from billing_server.domain.usage.instants import (
    MICROSECONDS_PER_MINUTE,
    microseconds_from_instant,
)
from billing_server.services.batch_buckets import OrderedGroup, money_of
from billing_server.services.stored_payloads import Dimensions, PayloadReader
from metering.quantity import scale_quantity

PAYLOADS_TOGETHER: Final = 2_000
"""Payloads that are read in one go."""
FEEDS_CACHED_MAX: Final = 200_000
"""Customers' quantities with their dimensions whose series are remembered."""
_COUNTING: Final = frozenset({Aggregation.COUNT, Aggregation.UNIQUE_COUNT})
_NO_QUANTITY: Final = ""

Place = tuple[int, int]
"""Minute and series."""
BucketState = tuple[int, int, int | None, str | None]
"""Value, event count, and time and id of the last event."""


class _Feed(NamedTuple):
    """One series that a quantity of an event feeds."""

    series_id: int
    meter: Meter
    is_counting: bool
    is_plain: bool
    factor: int
    money: frozenset[str] | None


class Expected:
    """What the buckets and readings of a window should hold."""

    def __init__(self) -> None:
        self.sums: dict[Place, list[int]] = {}
        self.ordered: dict[Place, OrderedGroup] = {}
        self.readings: dict[int, list[ReadingRow]] = {}
        self.meters: dict[int, Meter] = {}
        """Of the series with more than a sum."""

    def places(self) -> Iterable[Place]:
        """Returns every minute and series that should be there."""
        return self.sums.keys() | self.ordered.keys()

    def bucket(self, place: Place) -> BucketState | None:
        """Returns what a bucket should hold; None: it should not be there."""
        plain = self.sums.get(place)
        if plain is not None:
            return plain[0], plain[1], None, None
        group = self.ordered.get(place)
        if group is None:
            return None
        aggregation = self.meters[place[1]].aggregation
        if aggregation.is_summed:
            return group.total, group.count, None, None
        if aggregation in {Aggregation.LATEST, Aggregation.TIME_WEIGHTED}:
            return group.latest, group.count, group.time_us, group.event_id
        return group.largest, group.count, None, None


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
        self._feeds: dict[tuple[str, int, str], tuple[_Feed, ...]] = {}
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
        sums, feeds = expected.sums, self._feeds
        looks_at_every_event = _NO_QUANTITY in self._by_quantity
        read = self._payloads.read([event.payload for event in events])
        for event, (sent, dimensions) in zip(events, read, strict=True):
            quantities = sent if not newest else _corrected(sent, event=event, newest=newest)
            if looks_at_every_event and quantities:
                quantities = [*quantities, (_NO_QUANTITY, "1")]
            customer_id, number = event.customer_id, dimensions.number
            minute = event.event_time_us // MICROSECONDS_PER_MINUTE
            for name, text in quantities:
                found = feeds.get((customer_id, number, name))
                if found is None:
                    found = self._find(unit, customer_id, dimensions=dimensions, name=name)
                for feed in found:
                    if not feed.is_plain or not text.isdecimal() or not text.isascii():
                        self._add(expected, feed, text=text, event=event, quantities=quantities)
                        continue
                    value = 1 if feed.is_counting else int(text) * feed.factor
                    group = sums.get((minute, feed.series_id))
                    if group is None:
                        sums[minute, feed.series_id] = [value, 1]
                    else:
                        group[0] += value
                        group[1] += 1

    def _find(
        self, unit: UnitOfWork, customer_id: str, *, dimensions: Dimensions, name: str
    ) -> tuple[_Feed, ...]:
        values = dimensions.values
        feeds = tuple(
            self._feed(unit, (customer_id, meter.key, dimensions.json))
            for meter in self._by_quantity.get(name, ())
            if all(values.get(key) == value for key, value in meter.where.items())
            and (not meter.of or values.get(meter.of))
        )
        self._feeds[customer_id, dimensions.number, name] = feeds
        return feeds

    def _feed(self, unit: UnitOfWork, key: SeriesKey) -> _Feed:
        number = unit.usage_scan.known_series([key]).get(key)
        if number is None:
            self._missing -= 1
            number = self._missing
        self.owners[number] = key
        meter = self._by_key[key[1]]
        is_level = meter.aggregation is Aggregation.TIME_WEIGHTED
        money = self._kept_by_event.get(meter.key, frozenset() if is_level else None)
        return _Feed(
            number,
            meter,
            meter.aggregation in _COUNTING,
            meter.aggregation.is_summed and money is None,
            10**meter.decimals,
            money,
        )

    def _add(
        self,
        expected: Expected,
        feed: _Feed,
        *,
        text: str,
        event: ScannedEvent,
        quantities: Sequence[tuple[str, str]],
    ) -> None:
        """Adds what is no whole number, or more than a sum."""
        decimals = feed.meter.decimals
        value = 1 if feed.is_counting else scale_quantity(text, decimals=decimals)
        place = (event.event_time_us // MICROSECONDS_PER_MINUTE, feed.series_id)
        if feed.is_plain:
            group = expected.sums.setdefault(place, [0, 0])
            group[0] += value
            group[1] += 1
            return
        expected.meters[feed.series_id] = feed.meter
        ordered = expected.ordered.setdefault(place, OrderedGroup())
        ordered.add(value, time_us=event.event_time_us, event_id=event.event_id)
        if feed.money is not None:
            money = money_of(dict(quantities), names=feed.money)
            at = (event.event_time_us, event.event_id)
            row = ReadingRow(event.customer_id, feed.series_id, *at, value, 0, money)
            expected.readings.setdefault(feed.series_id, []).append(row)

    def _adjust(self, unit: UnitOfWork, made: Adjustment, *, expected: Expected) -> None:
        key = (made.customer_id, made.meter_key, canonical_json(dict(made.dimensions)))
        feed = self._feed(unit, key)
        time_us = microseconds_from_instant(made.event_time)
        place = (time_us // MICROSECONDS_PER_MINUTE, feed.series_id)
        if feed.is_plain:
            expected.sums.setdefault(place, [0, 0])[0] += made.value
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
    sent: list[tuple[str, str]],
    *,
    event: ScannedEvent,
    newest: Mapping[EventKey, Correction],
) -> list[tuple[str, str]]:
    """Returns the quantities as they count; none where the event is void."""
    correction = newest.get((event.event_id, event.customer_id))
    if correction is None:
        return sent
    if correction.kind is CorrectionKind.VOID:
        return []
    return list((correction.quantities or {}).items())
