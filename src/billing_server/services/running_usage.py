"""The usage of a running period as it is shown: from running charges where they tell it."""

from collections.abc import Mapping
from datetime import datetime

from billing_server.domain.catalog.model import Aggregation, Meter, UsagePrice
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.rating.price_model import is_rated_by_event
from billing_server.domain.rating.segment_usage import Used
from billing_server.domain.subscription.timeline import Timeline
from billing_server.domain.usage.aggregate import AggregateState, quantity_of
from billing_server.services.customer_terms import CustomerTerms
from billing_server.services.period_usage import fold_period
from metering.period import Period


def running_quantities(
    unit: UnitOfWork, *, terms: CustomerTerms, timeline: Timeline, period: Period, at: datetime
) -> dict[UsageKey, Used]:
    """Return the quantity of each usage price and segment in a period so far, in its meter's unit.

    Running charges are what is shown, but for levels, which grow as long as they hold, and prices
    by group or by event, whose lines tell more than an amount: a plan with such a price is folded.

    Args:
        unit: its reads see one state.
        terms: of the customer.
        timeline: the subscription.
        period: one of the timeline's.
        at: now, UTC.
    """
    subscription_id = timeline.subscription.id
    segments = timeline.usage_segments(period)
    if any(_is_folded(price, meter=terms.meters[price.meter]) for price, _ in segments):
        usage = fold_period(
            unit, terms=terms, subscription_id=subscription_id, period=period, at=at
        )
        return usage.quantities
    meters = {UsageKey.of(segment): terms.meters[price.meter] for price, segment in segments}
    charges = unit.usage.running_charges(
        subscription_id, customer_id=terms.customer.id, period_start=period.start
    )
    quantities: dict[UsageKey, Used] = {}
    for charge in charges:
        key = UsageKey(charge.price_key, charge.segment)
        state = AggregateState(charge.quantity, charge.value_count)
        quantities[key] = quantity_of(meters[key], state)
    return quantities


def levels_until_end(
    unit: UnitOfWork,
    *,
    terms: CustomerTerms,
    timeline: Timeline,
    period: Period,
    quantities: Mapping[UsageKey, Used],
) -> Mapping[UsageKey, Used]:
    """Return the quantities of a running period with its levels as if they held until its end.

    Args:
        unit: its reads see one state.
        terms: of the customer.
        timeline: the subscription.
        period: one of the timeline's.
        quantities: so far, as `running_quantities` gave them.
    """
    levels = frozenset(
        price.meter
        for price, _ in timeline.usage_segments(period)
        if terms.meters[price.meter].aggregation is Aggregation.TIME_WEIGHTED
    )
    if not levels:
        return quantities
    usage = fold_period(
        unit,
        terms=terms,
        subscription_id=timeline.subscription.id,
        period=period,
        at=period.end,
        meter_keys=levels,
    )
    return {**quantities, **usage.quantities}


def _is_folded(price: UsagePrice, *, meter: Meter) -> bool:
    """Return whether the running charges alone do not tell what is shown of a price."""
    is_level = meter.aggregation is Aggregation.TIME_WEIGHTED
    return is_level or bool(price.group_by) or is_rated_by_event(price.model)
