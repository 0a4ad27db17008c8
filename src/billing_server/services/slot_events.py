"""The events behind charges that are rated by event, in the order in which they are rated.

The order is (event_time, event_id), never that of arrival, so that the amount does not depend on
how usage travelled.
"""

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction

from billing_server.domain.catalog.model import Meter
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import ChargeKey, ChargeRow
from billing_server.domain.ports.usage_facts import Reading
from billing_server.domain.rating.assignment import CustomerAssigner, SeriesAssigner
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
    series = unit.usage_facts.series_of(customer_id, meter_key=meter.key)
    assigners: dict[int, SeriesAssigner] = {}
    found: Events = defaultdict(list)
    for reading in unit.usage_facts.readings(
        customer_id, meter_key=meter.key, start=span.start, end=span.end
    ):
        dimensions = series[reading.series_id]
        known = assigners.get(reading.series_id)
        if known is None:
            known = assigners[reading.series_id] = assigner.series(meter.key, dimensions=dimensions)
        assignment = known.at(instant_from_minute(reading.time_us // MICROSECONDS_PER_MINUTE))
        model = None if assignment.price is None else assignment.price.model
        if isinstance(model, EventModel):
            usage = _event_usage(reading, meter=meter, amount_quantity=model.amount_quantity)
            for key in charge_keys(assignment, customer_id=customer_id, dimensions=dimensions):
                found[key].append(usage)
    return found


def rate_slot_events(unit: UnitOfWork, *, slot: ChargeSlot) -> ChargeRow:
    """Rate a charge by its events, read anew."""
    found = events_of_charges(
        unit,
        slot.key.customer_id,
        assigner=slot.assigner,
        meter=slot.meter,
        span=slot.span,
    )
    events = found.get(slot.key, [])
    return charge_row(slot, events_state(events, meter=slot.meter), events=events)


def events_state(events: list[EventUsage], *, meter: Meter) -> AggregateState:
    """Return the aggregate of some events of a meter that adds up."""
    total = sum((Fraction(event.quantity) for event in events), Fraction(0))
    return AggregateState(int(total * 10**meter.decimals))


def _event_usage(reading: Reading, *, meter: Meter, amount_quantity: str | None) -> EventUsage:
    quantity = unscale_quantity(reading.value, decimals=meter.decimals)
    text = None
    if amount_quantity is not None and reading.money is not None:
        text = reading.money.get(amount_quantity)
    return EventUsage(quantity, ZERO if text is None else Decimal(text))
