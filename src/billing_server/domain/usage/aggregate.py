"""How usage comes together: the state of an aggregation, what joins two, and what it amounts to.

A state is enough to add more usage without looking at the usage before. Whatever the order in which
states are joined, the result is the same.
"""

from collections.abc import Sequence
from decimal import Decimal, Inexact
from fractions import Fraction
from typing import NamedTuple

from billing_server.domain.catalog.model import Aggregation, Meter
from billing_server.domain.ports.usage import SeriesUsage
from metering.money import EXACT_CONTEXT, Exact
from metering.quantity import unscale_quantity


class AggregateState(NamedTuple):
    """What the usage of a span comes to, for one aggregation."""

    value: int
    """In the meter's smallest unit: the sum, the largest or the latest value; how many different
    values; of a time-weighted level, level × microseconds."""
    divisor: int = 0
    """What the value is divided by: the number of values of an average, the microseconds of the
    whole period of a level; 0: nothing."""
    last_time_us: int | None = None
    """Of the event that brought the latest value; None for other aggregations."""
    last_event_id: str | None = None
    """Of the same event."""


NOTHING = AggregateState(0)
"""The state of no usage."""


def joined(
    aggregation: Aggregation, first: AggregateState, second: AggregateState
) -> AggregateState:
    """Returns the state of the usage of two states together.

    Not for a unique count, whose values have to be seen, nor for levels, whose spans follow each
    other.
    """
    if aggregation is Aggregation.MAX:
        return max(first, second)
    if aggregation is Aggregation.LATEST:
        return max(first, second, key=_recency)
    return AggregateState(first.value + second.value, first.divisor + second.divisor)


def state_of(meter: Meter, members: Sequence[SeriesUsage], *, whole_us: int = 0) -> AggregateState:
    """Returns the state of some series of a meter together.

    Args:
        meter: whose series they are.
        members: folds of one or more series over spans that do not overlap.
        whole_us: microseconds of the whole period, which divide levels.
    """
    match meter.aggregation:
        case Aggregation.MAX:
            return AggregateState(max((each.maximum for each in members), default=0))
        case Aggregation.LATEST:
            found = [each.latest for each in members if each.latest is not None]
            if not found:
                return NOTHING
            time_us, event_id, value = max(found)
            return AggregateState(value, 0, time_us, event_id)
        case Aggregation.AVERAGE:
            total = sum(each.total for each in members)
            return AggregateState(total, sum(each.event_count for each in members))
        case Aggregation.UNIQUE_COUNT:
            return AggregateState(len({each.dimensions.get(meter.of) for each in members}))
        case Aggregation.TIME_WEIGHTED:
            return AggregateState(sum(each.level_time for each in members), whole_us)
        case _:
            return AggregateState(sum(each.total for each in members))


def quantity_of(meter: Meter, state: AggregateState) -> Exact:
    """Returns the quantity that a state means, in the meter's unit; a fraction where it is none."""
    value = unscale_quantity(state.value, decimals=meter.decimals)
    return divided(value, state.divisor) if state.divisor else value


def divided(value: Decimal, divisor: int) -> Exact:
    """Returns value ÷ divisor: a decimal where it ends, else a fraction."""
    try:
        return EXACT_CONTEXT.divide(value, Decimal(divisor))
    except Inexact:
        return Fraction(value) / divisor


def _recency(state: AggregateState) -> tuple[int, str]:
    return (-1 if state.last_time_us is None else state.last_time_us, state.last_event_id or "")
