"""Where a running period is heading: usage carried on at its pace, rated by the same functions.

Quantities that are summed go on linearly: what a span brought so far is divided by the part of the
span that has passed, and rounded half up to the meter's decimals. Others (the largest value, the
latest, …) stay as they are; a level that is weighted by time is handed in as it is at the end of
the period if it holds. Amounts are then rated from those quantities, so that tiers, minimums and
maximums that are still to come stand in the estimate.

Example: 400 units in the first 10 of 30 days become 1,200; with 1,000 included, 200 are charged.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from billing_server.domain.catalog.model import Aggregation, Meter, UsagePrice
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.subscription.phase import Segment
from metering.money import Exact
from metering.period import Period
from metering.quantity import unscale_quantity


def elapsed_share(period: Period, *, now: datetime) -> Fraction:
    """Returns the part of a period that has passed, 0..1."""
    if now <= period.start:
        return Fraction(0)
    passed, whole = min(now, period.end) - period.start, period.end - period.start
    return Fraction(_microseconds(passed), _microseconds(whole))


def project_quantities(
    segments: Iterable[tuple[UsagePrice, Segment]],
    *,
    quantities: Mapping[UsageKey, Exact],
    meters: Mapping[str, Meter],
    now: datetime,
) -> dict[UsageKey, Exact]:
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
        if not meter.aggregation.is_summed or meter.aggregation is Aggregation.AVERAGE:
            continue
        key = UsageKey.of(segment)
        elapsed = elapsed_share(segment.span, now=now)
        length = _microseconds(segment.span.end - segment.span.start)
        if elapsed == 1:
            continue
        if elapsed:
            used = Fraction(quantities.get(key, Decimal(0)))
            pace[price.key] = used / (elapsed * length)
        expected = pace.get(price.key, Fraction(0)) * length
        if expected:
            projected[key] = _rounded(expected, meter=meter)
    return projected


def _rounded(quantity: Fraction, *, meter: Meter) -> Decimal:
    scaled, rest = divmod(quantity.numerator * 10**meter.decimals, quantity.denominator)
    if rest * 2 >= quantity.denominator:
        scaled += 1
    return unscale_quantity(scaled, decimals=meter.decimals)


def _microseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
