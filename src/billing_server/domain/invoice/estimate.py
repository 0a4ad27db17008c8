"""Where a running period is heading: usage carried on at its pace, rated by the same functions.

Quantities that are summed go on linearly: what a span brought so far is divided by the part of the
span that has passed, and rounded half up to the meter's decimals. Others (the largest value, the
latest, …) stay as they are; a level that is weighted by time is handed in as it is at the end of
the period if it holds. Amounts are then rated from those quantities, so that tiers, minimums and
maximums that are still to come stand in the estimate.

Example: 400 units in the first 10 of 30 days become 1,200; with 1,000 included, 200 are charged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from billing_server.domain.catalog.model import Aggregation, Meter, UsagePrice
from billing_server.domain.invoice.group_lines import group_weights
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.rating.price_model import is_rated_by_event
from billing_server.domain.rating.segment_usage import SegmentUsage, Used, quantity_used
from billing_server.domain.subscription.phase import Segment
from metering.period import Period
from metering.quantity import round_quantity


def elapsed_share(period: Period, *, now: datetime) -> Fraction:
    """Returns the part of a period that has passed, 0..1."""
    if now <= period.start:
        return Fraction(0)
    passed, whole = min(now, period.end) - period.start, period.end - period.start
    return Fraction(_microseconds(passed), _microseconds(whole))


def project_quantities(
    segments: Iterable[tuple[UsagePrice, Segment]],
    *,
    quantities: Mapping[UsageKey, Used],
    meters: Mapping[str, Meter],
    now: datetime,
) -> dict[UsageKey, Used]:
    """Returns what the segments of a period will hold at its end, going on as now.

    Args:
        segments: of the usage prices in the period, in order of time for each price.
        quantities: so far, in the meters' units; absent: none.
        meters: by key.
        now: UTC.
    """
    projected = dict(quantities)
    pace: dict[str, Fraction] = {}
    for price, segment in segments:
        meter = meters[price.meter]
        is_average = meter.aggregation is Aggregation.AVERAGE
        if not meter.aggregation.is_summed or is_average or is_rated_by_event(price.model):
            continue
        key = UsageKey.of(segment)
        elapsed = elapsed_share(segment.span, now=now)
        length = _microseconds(segment.span.end - segment.span.start)
        if elapsed == 1:
            continue
        if elapsed:
            used = Fraction(quantity_used(quantities.get(key, Decimal(0))))
            pace[price.key] = used / (elapsed * length)
        expected = pace.get(price.key, Fraction(0)) * length
        if expected:
            projected[key] = _projected(quantities.get(key), expected=expected, meter=meter)
    return projected


def _projected(used: Used | None, *, expected: Fraction, meter: Meter) -> Used:
    """Returns the expected usage; groups keep their parts of it."""
    quantity = round_quantity(expected, decimals=meter.decimals)
    if not isinstance(used, SegmentUsage):
        return quantity
    weights = group_weights(used.groups)
    groups = tuple(
        replace(group, quantity=round_quantity(expected * weight, decimals=meter.decimals))
        for group, weight in zip(used.groups, weights, strict=True)
    )
    return SegmentUsage(quantity, groups=groups)


def _microseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
