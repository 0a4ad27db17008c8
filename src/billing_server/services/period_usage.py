"""The usage of one billing period, folded from minute buckets and assigned to prices."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from billing_server.domain.catalog.model import Aggregation, Meter
from billing_server.domain.invoice.model import UnpricedUsage
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import SeriesUsage
from billing_server.domain.rating.assignment import Assignment, UsageKey
from billing_server.services.customer_terms import CustomerTerms
from metering.period import Period
from metering.quantity import unscale_quantity

SeriesKey = tuple[str, tuple[tuple[str, str], ...]]
"""Meter key and sorted dimensions."""


@dataclass(frozen=True, slots=True)
class PeriodUsage:
    """What one subscription charges of a customer's usage in a period."""

    scaled: dict[UsageKey, int]
    """By usage price and segment: the quantity, in the meter's smallest unit."""
    quantities: dict[UsageKey, Decimal]
    """The same in the meter's unit."""


def fold_period(
    unit: UnitOfWork, *, terms: CustomerTerms, subscription_id: str, period: Period
) -> PeriodUsage:
    """Fold what one subscription charges of a period, from the buckets and not from the cache.

    Args:
        unit: its reads see one state.
        terms: whose usage.
        subscription_id: whose charges.
        period: on whole minutes.
    """
    charged: dict[UsageKey, list[tuple[SeriesUsage, Meter]]] = defaultdict(list)
    for series, meter, found in _assigned(unit, terms=terms, period=period):
        if found.timeline is None or found.segment is None:
            continue
        if found.timeline.subscription.id == subscription_id:
            charged[UsageKey.of(found.segment)].append((series, meter))
    scaled: dict[UsageKey, int] = {}
    quantities: dict[UsageKey, Decimal] = {}
    for key, members in sorted(charged.items()):
        meter = members[0][1]
        scaled[key] = folded([series for series, _ in members], meter=meter)
        quantities[key] = unscale_quantity(scaled[key], decimals=meter.decimals)
    return PeriodUsage(scaled=scaled, quantities=quantities)


def fold_unpriced(
    unit: UnitOfWork, *, terms: CustomerTerms, period: Period
) -> tuple[UnpricedUsage, ...]:
    """Fold the usage of a span that no subscription of the customer charges (R32)."""
    members: dict[SeriesKey, list[SeriesUsage]] = defaultdict(list)
    for series, meter, found in _assigned(unit, terms=terms, period=period):
        if found.price is None:
            members[meter.key, tuple(sorted(series.dimensions.items()))].append(series)
    return tuple(
        _unpriced(terms.meters[meter_key], dimensions=dict(dimensions), series=series)
        for (meter_key, dimensions), series in sorted(members.items())
    )


def _assigned(
    unit: UnitOfWork, *, terms: CustomerTerms, period: Period
) -> Iterator[tuple[SeriesUsage, Meter, Assignment]]:
    """Walk the usage of a span, each part with what charges it."""
    assigner = terms.assigner
    for span in assigner.constant_spans(period):
        for series in unit.usage.fold_usage(terms.customer.id, start=span.start, end=span.end):
            meter = terms.meters[series.meter_key]
            found = assigner.assign(meter.key, dimensions=series.dimensions, at=span.start)
            yield series, meter, found


def _unpriced(
    meter: Meter, *, dimensions: dict[str, str], series: list[SeriesUsage]
) -> UnpricedUsage:
    quantity = unscale_quantity(folded(series, meter=meter), decimals=meter.decimals)
    return UnpricedUsage(meter=meter.key, dimensions=dimensions, quantity=quantity, unit=meter.unit)


def folded(series: list[SeriesUsage], *, meter: Meter) -> int:
    """Return the quantity of some series together, in the meter's smallest unit."""
    if meter.aggregation is Aggregation.MAX:
        return max((each.maximum for each in series), default=0)
    return sum(each.total for each in series)
