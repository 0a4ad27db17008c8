"""The running charges that a batch changes, brought up to date from what they were."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from billing_server.domain.catalog.model import Aggregation
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import ChargeKey, ChargeRow
from billing_server.domain.usage.aggregate import AggregateState, joined
from billing_server.domain.usage.instants import MICROSECONDS_PER_MINUTE
from billing_server.services.batch_buckets import BatchBuckets
from billing_server.services.charge_slot import ChargeSlot, charge_row, state_of_row
from billing_server.services.slot_events import NewEvent, rate_slot_events

Rating = Callable[[], ChargeRow]
"""Rates one charge."""


class BatchCharges:
    """Which charges a batch feeds, and by what."""

    def __init__(self, buckets: BatchBuckets) -> None:
        self._sums: dict[ChargeSlot, list[int]] = {}
        self._states: dict[ChargeSlot, AggregateState] = {}
        self._values: set[tuple[ChargeKey, str]] = set()
        self._unique: dict[ChargeSlot, None] = {}
        self._by_event: dict[ChargeSlot, list[NewEvent]] = {}
        self.event_states: dict[ChargeKey, str] = {}
        """Where the ratings by event stopped, once they are made."""
        self._take_sums(buckets)
        self._take_ordered(buckets)

    @property
    def slots(self) -> list[ChargeSlot]:
        """Returns the charges, each once."""
        return [*self._sums, *self._states, *self._unique, *self._by_event]

    def ratings(
        self, unit: UnitOfWork, *, before: Mapping[ChargeKey, ChargeRow]
    ) -> Iterator[tuple[ChargeSlot, Rating]]:
        """Yields each charge with what rates it.

        Args:
            unit: the buckets and readings of the batch are written in it.
            before: the charges as they were.
        """
        for slot, (value, count) in self._sums.items():
            row = before.get(slot.key)
            divisor = count if slot.meter.aggregation is Aggregation.AVERAGE else 0
            state = (
                AggregateState(value, divisor)
                if row is None
                else AggregateState(value + row.quantity, divisor + row.value_count)
            )
            yield slot, partial(charge_row, slot, state)
        for slot, state in self._states.items():
            known = state_of_row(before.get(slot.key))
            whole = state if known is None else joined(slot.meter.aggregation, known, state)
            yield slot, partial(charge_row, slot, whole)
        new = unit.usage.add_charge_values(self._values) if self._values else {}
        for slot in self._unique:
            row = before.get(slot.key)
            count = new.get(slot.key, 0) + (0 if row is None else row.quantity)
            yield slot, partial(charge_row, slot, AggregateState(count))
        for slot in self._by_event:
            yield slot, partial(self._rate_events, unit, slot=slot, before=before.get(slot.key))

    def _take_sums(self, buckets: BatchBuckets) -> None:
        sums = self._sums
        for (route, minute), group in buckets.sums.items():
            for slot in route.slots_at(minute):
                known = sums.get(slot)
                if known is None:
                    sums[slot] = [*group]
                else:
                    known[0] += group[0]
                    known[1] += group[1]

    def _take_ordered(self, buckets: BatchBuckets) -> None:
        for (route, minute), group in buckets.ordered.items():
            aggregation = route.meter.aggregation
            for slot in route.slots_at(minute):
                if slot.is_rated_by_event:
                    self._by_event.setdefault(slot, [])
                elif aggregation.is_summed:
                    known = self._sums.setdefault(slot, [0, 0])
                    known[0] += group.total
                    known[1] += group.count
                elif aggregation is Aggregation.UNIQUE_COUNT:
                    self._unique[slot] = None
                    self._values.add((slot.key, route.dimensions[route.meter.of]))
                elif aggregation is Aggregation.MAX:
                    self._join(slot, AggregateState(group.largest))
                elif aggregation is Aggregation.LATEST:
                    self._join(slot, AggregateState(group.latest, 0, group.time_us, group.event_id))
                # A level's charge grows by itself: it is folded when it is looked at.

        for route, event in buckets.new_events():
            for slot in route.slots_at(event.time_us // MICROSECONDS_PER_MINUTE):
                if slot in self._by_event:
                    self._by_event[slot].append(event)

    def _rate_events(
        self, unit: UnitOfWork, *, slot: ChargeSlot, before: ChargeRow | None
    ) -> ChargeRow:
        row, self.event_states[slot.key] = rate_slot_events(
            unit, slot=slot, before=before, new=self._by_event[slot]
        )
        return row

    def _join(self, slot: ChargeSlot, state: AggregateState) -> None:
        known = self._states.get(slot)
        self._states[slot] = (
            state if known is None else joined(slot.meter.aggregation, known, state)
        )
