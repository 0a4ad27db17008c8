"""What was used in a segment, as far as its price asks: a quantity, its events, its groups."""

from collections.abc import Mapping
from dataclasses import dataclass

from billing_server.domain.rating.price_model import EventUsage
from metering.money import Exact


@dataclass(frozen=True, slots=True)
class GroupUsage:
    """The usage of one group of a price that is grouped by dimensions."""

    group: Mapping[str, str]
    """Values of the dimensions; empty where an event does not carry one."""
    quantity: Exact
    """In the meter's unit."""
    events: tuple[EventUsage, ...] = ()
    """In the order (event_time, event_id), where the price is rated by event."""


@dataclass(frozen=True, slots=True)
class SegmentUsage:
    """The usage of a segment whose price asks for more than the quantity."""

    quantity: Exact
    """Of the whole segment, in the meter's unit."""
    events: tuple[EventUsage, ...] = ()
    """In the order (event_time, event_id), where the price is rated by event."""
    groups: tuple[GroupUsage, ...] = ()
    """By the values of the dimensions, where the price is grouped."""


Used = Exact | SegmentUsage
"""Usage of a segment; a plain quantity where the price asks for no more."""


def segment_usage(used: Used) -> SegmentUsage:
    """Returns the usage with everything that a price may ask for."""
    return used if isinstance(used, SegmentUsage) else SegmentUsage(used)


def quantity_used(used: Used) -> Exact:
    """Returns the quantity of the whole segment, in the meter's unit."""
    return used.quantity if isinstance(used, SegmentUsage) else used
