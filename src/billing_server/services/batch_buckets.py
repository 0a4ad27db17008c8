"""The minute buckets of a batch, in memory: one state a series and minute, whatever the events."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from billing_server.domain.catalog.model import Aggregation
from billing_server.domain.catalog.serialize import canonical_json
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import BucketChange, LatestChange, ReadingRow
from billing_server.domain.ports.usage_facts import Adjustment
from billing_server.domain.usage.instants import (
    MICROSECONDS_PER_MINUTE,
    microseconds_from_instant,
)
from billing_server.domain.usage.meter_index import MeterEffect
from billing_server.services.rating_terms import CompiledCustomer
from billing_server.services.series_route import SeriesRoute
from billing_server.services.slot_events import NewEvent
from billing_server.services.usage_payload import DecodedEvent

Group = tuple[SeriesRoute, int]
"""A series and a minute."""
NumberOf = Callable[[SeriesRoute], int]
"""Gives the number of a series."""

_LATEST: Final = frozenset({Aggregation.LATEST, Aggregation.TIME_WEIGHTED})
"""Aggregations whose bucket keeps the last value."""
_LEVEL: Final = 0
_CHANGE: Final = 1
"""Whether a reading sets a level or changes the one before it."""


class OrderedGroup:
    """Events of one series and minute of which more than the sum counts."""

    __slots__ = ("count", "event_id", "largest", "latest", "time_us", "total")

    def __init__(self) -> None:
        self.total = self.count = self.largest = self.latest = 0
        self.time_us = -1
        self.event_id = ""

    def add(self, value: int, *, time_us: int, event_id: str) -> None:
        """Adds what an event brings."""
        self.total += value
        self.count += 1
        self.largest = max(self.largest, value)
        self._last(value, time_us=time_us, event_id=event_id)

    def change(self, value: int, *, time_us: int, event_id: str) -> None:
        """Adds a signed quantity that is no event."""
        self.total += value
        self._last(value, time_us=time_us, event_id=event_id)

    def _last(self, value: int, *, time_us: int, event_id: str) -> None:
        if (time_us, event_id) > (self.time_us, self.event_id):
            self.time_us, self.event_id, self.latest = time_us, event_id, value


class BatchBuckets:
    """What a batch brings to buckets and readings."""

    def __init__(self) -> None:
        self.sums: dict[Group, list[int]] = {}
        """Of meters that add up: [sum, number of events]."""
        self.ordered: dict[Group, OrderedGroup] = {}
        """Of the others, and of those that keep what each event brought."""
        self._readings: list[tuple[SeriesRoute, int, str, int, int, str | None]] = []

    def add(
        self, event: DecodedEvent, *, customer: CompiledCustomer, effects: Sequence[MeterEffect]
    ) -> None:
        """Adds what one event brings to its customer's meters."""
        sums = self.sums
        minute = event.minute
        for meter, value in effects:
            route = customer.route(
                meter, dimensions=event.dimensions, dimensions_json=event.dimensions_json
            )
            if not route.is_plain:
                self._add_in_order(event, route=route, value=value)
                continue
            group = sums.get((route, minute))
            if group is None:
                sums[route, minute] = [value, 1]
                continue
            group[0] += value
            group[1] += 1

    def adjust(self, adjustment: Adjustment, *, route: SeriesRoute) -> None:
        """Adds a signed quantity, which counts as no event.

        To a level it is a change: the level is higher or lower by it until the next event sets one.
        """
        time_us = microseconds_from_instant(adjustment.event_time)
        place = (route, time_us // MICROSECONDS_PER_MINUTE)
        if route.is_plain:
            self.sums.setdefault(place, [0, 0])[0] += adjustment.value
            return
        group = self.ordered.setdefault(place, OrderedGroup())
        group.change(adjustment.value, time_us=time_us, event_id=adjustment.id)
        if route.keeps_readings:
            change = (route, time_us, adjustment.id, adjustment.value, _CHANGE, None)
            self._readings.append(change)

    def new_events(self) -> Iterator[tuple[SeriesRoute, NewEvent]]:
        """Yields what the events brought to series that keep it."""
        for route, time_us, event_id, value, _, money in self._readings:
            yield route, NewEvent(time_us, event_id, value, money)

    def groups(self) -> Iterator[Group]:
        """Yields every series and minute that is fed."""
        return chain(self.sums, self.ordered)

    def _add_in_order(self, event: DecodedEvent, *, route: SeriesRoute, value: int) -> None:
        """Adds what an event brings to a series of which more than the sum counts."""
        row = event.row
        group = self.ordered.get((route, event.minute))
        if group is None:
            group = self.ordered[route, event.minute] = OrderedGroup()
        group.add(value, time_us=row.event_time_us, event_id=row.event_id)
        if route.keeps_readings:
            money = money_of(event.quantities, names=route.money_quantities)
            self._readings.append((route, row.event_time_us, row.event_id, value, _LEVEL, money))

    def levels_since(self) -> dict[str, int]:
        """Returns the customers whose levels are set, each with the earliest instant of it."""
        earliest: dict[str, int] = {}
        for route, time_us, *_ in self._readings:
            if route.meter.aggregation is Aggregation.TIME_WEIGHTED:
                customer_id = route.customer.customer_id
                earliest[customer_id] = min(time_us, earliest.get(customer_id, time_us))
        return earliest

    def write(self, unit: UnitOfWork, *, number_of: NumberOf) -> None:
        """Writes buckets and readings."""
        added = [
            BucketChange(minute, route.customer.customer_id, number_of(route), *group)
            for (route, minute), group in self.sums.items()
        ]
        largest: list[BucketChange] = []
        latest: list[LatestChange] = []
        for (route, minute), found in self.ordered.items():
            customer_id, number = route.customer.customer_id, number_of(route)
            aggregation = route.meter.aggregation
            if aggregation.is_summed:
                added.append(BucketChange(minute, customer_id, number, found.total, found.count))
            elif aggregation in _LATEST:
                latest.append(
                    LatestChange(
                        minute,
                        customer_id,
                        number,
                        found.latest,
                        found.count,
                        found.time_us,
                        found.event_id,
                    )
                )
            else:
                largest.append(
                    BucketChange(minute, customer_id, number, found.largest, found.count)
                )
        if added:
            unit.usage.add_to_buckets(added)
        if largest:
            unit.usage.raise_buckets(largest)
        if latest:
            unit.usage.put_latest_buckets(latest)
        self._write_readings(unit, number_of=number_of)

    def _write_readings(self, unit: UnitOfWork, *, number_of: NumberOf) -> None:
        if self._readings:
            unit.usage.add_readings(
                [
                    ReadingRow(
                        route.customer.customer_id,
                        number_of(route),
                        time_us,
                        event_id,
                        value,
                        is_change,
                        money,
                    )
                    for route, time_us, event_id, value, is_change, money in self._readings
                ]
            )


def money_of(quantities: Mapping[str, str], *, names: frozenset[str]) -> str | None:
    """Returns the quantities that prices read as money, as canonical JSON; None: none is there."""
    found = {name: quantities[name] for name in names if name in quantities}
    return canonical_json(found) if found else None
