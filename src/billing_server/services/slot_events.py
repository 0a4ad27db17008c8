"""The events behind charges that are rated by event, in the order in which they are rated.

The order is (event_time, event_id), never that of arrival, so that the amount does not depend on
how usage travelled.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from billing_server.domain.catalog.model import Meter
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import ChargeKey, ChargeRow
from billing_server.domain.ports.usage_facts import Reading
from billing_server.domain.rating.assignment import Assignment, CustomerAssigner, SeriesAssigner
from billing_server.domain.rating.event_rating import EventRating
from billing_server.domain.rating.price_model import ZERO, EventModel, EventUsage
from billing_server.domain.usage.aggregate import AggregateState
from billing_server.domain.usage.instants import MICROSECONDS_PER_MINUTE, instant_from_minute
from billing_server.services.charge_slot import ChargeSlot, charge_keys, charge_row
from metering.period import Period
from metering.quantity import unscale_quantity

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
                reading.value, reading.money, meter=meter, amount_quantity=model.amount_quantity
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
    for reading in unit.usage_facts.readings(
        customer_id, meter_key=meter.key, start=span.start, end=span.end
    ):
        dimensions = series[reading.series_id]
        known = assigners.get(reading.series_id)
        if known is None:
            known = assigners[reading.series_id] = assigner.series(meter.key, dimensions=dimensions)
        assignment = known.at(instant_from_minute(reading.time_us // MICROSECONDS_PER_MINUTE))
        yield (
            reading,
            assignment,
            charge_keys(assignment, customer_id=customer_id, dimensions=dimensions),
        )


class NewEvent(NamedTuple):
    """What an event of a batch brings a charge; sorts as it is rated."""

    time_us: int
    event_id: str
    value: int
    """In the meter's smallest unit."""
    money: str | None
    """Quantities that prices read as money, as JSON; None: none."""


def rate_slot_events(
    unit: UnitOfWork,
    *,
    slot: ChargeSlot,
    before: ChargeRow | None,
    new: Sequence[NewEvent],
) -> tuple[ChargeRow, str]:
    """Rate a charge by its events: from where it stopped where all that is new comes behind.

    Else all events are read anew. The order is that of the events, never that of arrival.

    Args:
        unit: the readings of the batch are written in it.
        slot: which charge.
        before: as it was; None: there was none.
        new: the events of the batch that feed it.

    Returns:
        The charge, and where its rating stopped.
    """
    ordered = sorted(new)
    rating = EventRating(slot.terms)
    saved = None if before is None else unit.usage_facts.event_state(slot.key)
    extends = (
        saved is not None
        and rating.resume(saved)
        and rating.place is not None
        and rating.place < ordered[0][:2]
    )
    value = sum(each.value for each in ordered)
    if extends and before is not None:
        value += before.quantity
        for each in ordered:
            money = None if each.money is None else json.loads(each.money)
            usage = _usage_of(each.value, money, slot=slot)
            rating.take(usage, place=(each.time_us, each.event_id))
    else:
        rating, value = _rated_anew(unit, slot=slot)
    return charge_row(slot, AggregateState(value), rating=rating), rating.saved()


def _rated_anew(unit: UnitOfWork, *, slot: ChargeSlot) -> tuple[EventRating, int]:
    """Return the rating of all events of a charge, and the sum of their values."""
    rating, value = EventRating(slot.terms), 0
    for reading, _, keys in _readings_of_charges(
        unit, slot.key.customer_id, assigner=slot.assigner, meter=slot.meter, span=slot.span
    ):
        if slot.key in keys:
            value += reading.value
            usage = _usage_of(reading.value, reading.money, slot=slot)
            rating.take(usage, place=(reading.time_us, reading.event_id))
    return rating, value


def _usage_of(value: int, money: Mapping[str, str] | None, *, slot: ChargeSlot) -> EventUsage:
    return _event_usage(value, money, meter=slot.meter, amount_quantity=slot.terms.amount_quantity)


def _event_usage(
    value: int, money: Mapping[str, str] | None, *, meter: Meter, amount_quantity: str | None
) -> EventUsage:
    quantity = unscale_quantity(value, decimals=meter.decimals)
    text = None
    if amount_quantity is not None and money is not None:
        text = money.get(amount_quantity)
    return EventUsage(quantity, ZERO if text is None else Decimal(text))
