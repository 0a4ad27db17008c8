"""The events behind charges that are rated by event, in the order in which they are rated.

The order is (event_time, event_id), never that of arrival, so that the amount does not depend on
how usage travelled.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from billing_server.domain.catalog.model import Meter
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import ChargeKey, ChargeRow
from billing_server.domain.ports.usage_facts import Reading
from billing_server.domain.rating.assignment import Assignment, CustomerAssigner, SeriesAssigner
from billing_server.domain.rating.event_rating import EventPlace, EventRating
from billing_server.domain.rating.price_model import ZERO, EventModel, EventUsage
from billing_server.domain.usage.aggregate import AggregateState
from billing_server.domain.usage.instants import (
    MICROSECONDS_PER_MINUTE,
    instant_from_microseconds,
    instant_from_minute,
)
from billing_server.services.charge_slot import ChargeSlot, charge_keys, charge_row
from metering.period import Period
from metering.quantity import unscale_quantity

RECENT_KEPT: Final = 3
"""Batches behind which rating may go on: those of several agents overlap a little."""
EVENTS_BETWEEN_MARKS: Final = 1_000
"""Events from one place further back to the next."""
MARKS_KEPT: Final = 2
"""Such places that a charge keeps."""

Events = dict[ChargeKey, list[EventUsage]]
"""The events of each charge, in their order."""


def events_of_charges(
    unit: UnitOfWork,
    customer_id: str,
    *,
    assigner: CustomerAssigner,
    meter: Meter,
    span: Period,
) -> Events:
    """Read the events of a meter in a span, told apart by the charge that they feed.

    Args:
        unit: its reads see one state.
        customer_id: whose events.
        assigner: of the customer.
        meter: one that keeps what each event brought.
        span: on whole minutes.
    """
    found: Events = defaultdict(list)
    for reading, assignment, keys in _readings_of_charges(
        unit, customer_id, assigner=assigner, meter=meter, span=span
    ):
        model = None if assignment.price is None else assignment.price.model
        if isinstance(model, EventModel):
            usage = _event_usage(
                reading,
                meter=meter,
                amount_quantity=model.amount_quantity,
                is_event=not reading.is_change,
            )
            for key in keys:
                found[key].append(usage)
    return found


def _readings_of_charges(
    unit: UnitOfWork,
    customer_id: str,
    *,
    assigner: CustomerAssigner,
    meter: Meter,
    span: Period,
) -> Iterator[tuple[Reading, Assignment, tuple[ChargeKey, ...]]]:
    """Walk the readings of a meter in their order, each with the charges that it feeds."""
    series = unit.usage_facts.series_of(customer_id, meter_key=meter.key)
    assigners: dict[int, SeriesAssigner] = {}
    fed: dict[int, tuple[Assignment, tuple[ChargeKey, ...]]] = {}
    for reading in unit.usage_facts.readings(
        customer_id, meter_key=meter.key, start=span.start, end=span.end
    ):
        dimensions = series[reading.series_id]
        known = assigners.get(reading.series_id)
        if known is None:
            known = assigners[reading.series_id] = assigner.series(meter.key, dimensions=dimensions)
        assignment = known.at(instant_from_minute(reading.time_us // MICROSECONDS_PER_MINUTE))
        last = fed.get(reading.series_id)
        if last is None or last[0] is not assignment:
            keys = charge_keys(assignment, customer_id=customer_id, dimensions=dimensions)
            last = fed[reading.series_id] = (assignment, keys)
        yield reading, *last


class NewEvent(NamedTuple):
    """What an event of a batch brings a charge; sorts as it is rated."""

    time_us: int
    event_id: str
    value: int
    """In the meter's smallest unit."""
    money: Mapping[str, str] | str | None
    """Quantities that prices read as money, maybe as JSON; None: none."""
    is_event: bool = True
    """Whether it is one, and no adjustment."""


class _Stop(NamedTuple):
    """Where a rating may go on from."""

    event_count: int
    """Events so far."""
    value: int
    """Sum of their values, in the meter's smallest unit."""
    saved: str
    """State of the rating."""


def rate_slot_events(
    unit: UnitOfWork,
    *,
    slot: ChargeSlot,
    before: ChargeRow | None,
    new: Sequence[NewEvent],
) -> tuple[ChargeRow, str]:
    """Rate a charge by its events, from the last stop that lies before all that is new.

    Where nothing does, all events are read anew. The order is that of the events, never that of
    arrival.

    Args:
        unit: the readings of the batch are written in it.
        slot: which charge.
        before: as it was; None: there was none.
        new: the events of the batch that feed it.

    Returns:
        The charge, and where its rating may go on from.
    """
    ordered = sorted(new)
    stops = _stops_of(unit, slot=slot, before=before)
    rated = _Pass(slot)
    for stop in sorted((*stops.recent, *stops.marks), reverse=True):
        if rated.resume(stop, stops=stops, before=ordered[0][:2]):
            if stop == stops.recent[0]:
                rated.take_all(ordered)
                return rated.result()
            break
    rated.take_all(_events_behind(unit, slot=slot, place=rated.rating.place))
    return rated.result()


def newest_state(text: str) -> str | None:
    """Return the state of the rating of all events, from what `rate_slot_events` gave.

    None where it is damaged.
    """
    recent = _Stops.from_text(text).recent
    return recent[0].saved if recent else None


class _Stops(NamedTuple):
    """The places at which the rating of a charge may go on."""

    recent: list[_Stop]
    """Behind the last batches, the newest first."""
    marks: list[_Stop]
    """Further back, the newest first."""

    @classmethod
    def from_text(cls, text: str) -> "_Stops":
        """Returns what `to_text` wrote; no stops where it is none of it.

        What is damaged is not gone on from, and is no reason to rate nothing.
        """
        try:
            recent, marks = json.loads(text)
            return cls([_Stop(*each) for each in recent], [_Stop(*each) for each in marks])
        except (TypeError, ValueError):
            return cls([], [])

    def to_text(self) -> str:
        """Returns the stops as one line of JSON."""
        return json.dumps(self, separators=(",", ":"))

    def until(self, event_count: int) -> "_Stops":
        """Returns those with so many events at most."""
        return _Stops(
            [stop for stop in self.recent if stop.event_count <= event_count],
            [stop for stop in self.marks if stop.event_count <= event_count],
        )


class _Pass:
    """One pass over events of a charge; notes where later ones may go on from."""

    def __init__(self, slot: ChargeSlot) -> None:
        self._slot = slot
        self._stops = _Stops([], [])
        self._event_count = self._value = 0
        self.rating = EventRating(slot.terms)

    def resume(self, stop: _Stop, *, stops: _Stops, before: EventPlace) -> bool:
        """Goes on from a stop if it lies before a place; tells whether it does."""
        rating = EventRating(self._slot.terms)
        if not rating.resume(stop.saved) or rating.place is None or rating.place >= before:
            return False
        self.rating = rating
        self._event_count, self._value = stop.event_count, stop.value
        self._stops = stops.until(stop.event_count)
        return True

    def take_all(self, events: Iterable[NewEvent]) -> None:
        """Rates events behind the last one, in their order."""
        for event in events:
            usage = _event_usage(
                event,
                meter=self._slot.meter,
                amount_quantity=self._slot.terms.amount_quantity,
                is_event=event.is_event,
            )
            self.rating.take(usage, place=(event.time_us, event.event_id))
            self._event_count += 1
            self._value += event.value
            marks = self._stops.marks
            newest = marks[0].event_count if marks else 0
            if self._event_count - newest >= EVENTS_BETWEEN_MARKS:
                marks[:] = [self._stop(), *marks][:MARKS_KEPT]

    def result(self) -> tuple[ChargeRow, str]:
        """Returns the charge and the stops, the newest first."""
        row = charge_row(self._slot, AggregateState(self._value), rating=self.rating)
        recent = [self._stop(), *self._stops.recent][:RECENT_KEPT]
        return row, self._stops._replace(recent=recent).to_text()

    def _stop(self) -> _Stop:
        return _Stop(self._event_count, self._value, self.rating.saved())


def _stops_of(unit: UnitOfWork, *, slot: ChargeSlot, before: ChargeRow | None) -> _Stops:
    """Return where the rating of a charge may go on."""
    text = None if before is None else unit.usage_facts.event_state(slot.key)
    if before is not None and text is not None:
        stops = _Stops.from_text(text)
        # Else somebody rated it who knows of no stops: an earlier version beside this one.
        if stops.recent and stops.recent[0].value == before.quantity:
            return stops
    return _Stops([], [])


def _events_behind(
    unit: UnitOfWork, *, slot: ChargeSlot, place: EventPlace | None
) -> Iterator[NewEvent]:
    """Walk the events of a charge behind a place, or all of them, in their order."""
    span = slot.span
    if place is not None:
        start = instant_from_microseconds(place[0])
        span = Period(max(start, span.start), span.end)
    for reading, _, keys in _readings_of_charges(
        unit, slot.key.customer_id, assigner=slot.assigner, meter=slot.meter, span=span
    ):
        is_behind = place is None or (reading.time_us, reading.event_id) > place
        if is_behind and slot.key in keys:
            yield NewEvent(
                reading.time_us,
                reading.event_id,
                reading.value,
                reading.money,
                not reading.is_change,
            )


def _event_usage(
    event: NewEvent | Reading, *, meter: Meter, amount_quantity: str | None, is_event: bool
) -> EventUsage:
    money = json.loads(event.money) if isinstance(event.money, str) else event.money
    text = None
    if amount_quantity is not None and money is not None:
        text = money.get(amount_quantity)
    return EventUsage(
        unscale_quantity(event.value, decimals=meter.decimals),
        ZERO if text is None else Decimal(text),
        is_event,
    )
