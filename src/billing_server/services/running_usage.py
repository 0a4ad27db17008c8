"""The usage of a running period as it is shown: from running charges where they tell it."""

from datetime import datetime

from billing_server.domain.catalog.model import Aggregation
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.subscription.timeline import Timeline
from billing_server.domain.usage.aggregate import AggregateState, quantity_of
from billing_server.services.charge_slot import WHOLE_PRICE
from billing_server.services.customer_terms import CustomerTerms
from billing_server.services.period_usage import fold_period
from metering.money import Exact
from metering.period import Period


def running_quantities(
    unit: UnitOfWork, *, terms: CustomerTerms, timeline: Timeline, period: Period, at: datetime
) -> dict[UsageKey, Exact]:
    """Return the quantity of each usage price and segment in a period so far, in its meter's unit.

    Running charges are what is shown, but for levels, which grow as long as they hold: a plan with
    a price on such a meter is folded.

    Args:
        unit: its reads see one state.
        terms: of the customer.
        timeline: the subscription.
        period: one of the timeline's.
        at: now, UTC.
    """
    subscription_id = timeline.subscription.id
    meters = {
        UsageKey.of(segment): terms.meters[price.meter]
        for price, segment in timeline.usage_segments(period)
    }
    if any(meter.aggregation is Aggregation.TIME_WEIGHTED for meter in meters.values()):
        usage = fold_period(
            unit, terms=terms, subscription_id=subscription_id, period=period, at=at
        )
        return usage.quantities
    charges = unit.usage.running_charges(
        subscription_id, customer_id=terms.customer.id, period_start=period.start
    )
    quantities: dict[UsageKey, Exact] = {}
    for charge in charges:
        if charge.group_key == WHOLE_PRICE:
            key = UsageKey(charge.price_key, charge.segment)
            state = AggregateState(charge.quantity, charge.value_count)
            quantities[key] = quantity_of(meters[key], state)
    return quantities
