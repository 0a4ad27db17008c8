"""Querying usage: what a customer used of one meter in a window, grouped by dimensions."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from billing_server.domain.catalog.model import Meter
from billing_server.domain.ports.usage import SeriesUsage
from billing_server.services.context import ServiceContext
from billing_server.services.level_folds import fold_meter
from billing_server.services.not_found import customer_not_found, meter_not_found
from billing_server.services.period_usage import folded
from metering.clock import floor_to_minute
from metering.errors import ValidationError
from metering.money import Exact
from metering.period import Period

GROUPS_MAX = 1_000
"""Groups of one answer at most."""


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """What is asked for."""

    customer_id: str
    """Whose usage."""
    meter_key: str
    """Of which meter."""
    start: datetime
    """From this instant, on a whole minute."""
    end: datetime
    """To this instant, exclusive, on a whole minute."""
    group_by: tuple[str, ...] = ()
    """Dimensions whose values are told apart; none: one total."""
    where: dict[str, str] = field(default_factory=dict)
    """Dimension values that usage must carry to be counted; none: all."""

    def __post_init__(self) -> None:
        for name, instant in (("start", self.start), ("end", self.end)):
            if floor_to_minute(instant) != instant:
                raise ValidationError(
                    reason="WINDOW_NOT_ON_MINUTE",
                    message=f"{name}: usage is kept by the minute, so windows begin and end on one",
                )
        if self.start >= self.end:
            raise ValidationError(reason="WINDOW_EMPTY", message="end must be later than start")


@dataclass(frozen=True, slots=True)
class UsageGroup:
    """Usage with the same values of the dimensions that were asked for."""

    dimensions: dict[str, str]
    """Values by dimension; a dimension that events did not carry is empty."""
    quantity: Exact
    """In the meter's unit."""
    event_count: int
    """How many events. >= 1."""


@dataclass(frozen=True, slots=True)
class UsageAnswer:
    """Usage of one meter in a window."""

    meter: Meter
    """What was counted."""
    groups: tuple[UsageGroup, ...]
    """Ordered by the values of the dimensions."""


def query_usage(context: ServiceContext, *, query: UsageQuery) -> UsageAnswer:
    """Fold the minute buckets of a window.

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND or METER_NOT_FOUND.
        ValidationError: TOO_MANY_GROUPS.
    """
    with context.store.read() as unit:
        meter = unit.catalog.meter(query.meter_key)
        if meter is None:
            raise meter_not_found(query.meter_key)
        if unit.customers.get(query.customer_id) is None:
            raise customer_not_found(query.customer_id)
        span = Period(query.start, query.end)
        series = fold_meter(unit, query.customer_id, meter=meter, span=span)
    return UsageAnswer(meter=meter, groups=_grouped(series, meter=meter, query=query))


def _grouped(
    series: tuple[SeriesUsage, ...], *, meter: Meter, query: UsageQuery
) -> tuple[UsageGroup, ...]:
    members: dict[tuple[str, ...], list[SeriesUsage]] = defaultdict(list)
    for each in series:
        if all(each.dimensions.get(key) == value for key, value in query.where.items()):
            members[tuple(each.dimensions.get(key, "") for key in query.group_by)].append(each)
    if len(members) > GROUPS_MAX:
        raise ValidationError(
            reason="TOO_MANY_GROUPS",
            message=f"group_by: {len(members)} groups are more than {GROUPS_MAX}; "
            "filter by a dimension or group by fewer",
        )
    return tuple(
        UsageGroup(
            dimensions=dict(zip(query.group_by, values, strict=True)),
            quantity=folded(found, meter=meter, span=Period(query.start, query.end)),
            event_count=sum(each.event_count for each in found),
        )
        for values, found in sorted(members.items())
    )
