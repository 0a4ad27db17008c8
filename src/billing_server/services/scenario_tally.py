"""Usage of a scenario in words: what each customer used between two other things that happened."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing_server.services.scenario_report import ScenarioEvent
from billing_server.services.scenario_steps import UsageStep
from metering.clock import format_instant
from metering.money import exact_context
from metering.quantity import plain_decimal

GroupKey = tuple[str, tuple[tuple[str, str], ...], bool]
"""Customer, dimensions, whether it was heard of after it was used."""


@dataclass(slots=True)
class _Group:
    """Usage of one customer with one set of dimensions."""

    heard_at: datetime
    first: datetime
    last: datetime
    event_count: int = 0
    quantities: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))


class UsageTally:
    """Adds usage up until it is told; nothing of it is rated here."""

    def __init__(self) -> None:
        self._groups: dict[GroupKey, _Group] = {}

    def add(self, step: UsageStep, *, at: datetime, repeat: int) -> None:
        """Adds one event that the server hears of at an instant."""
        used_at = at
        if step.event_time is not None:
            used_at = step.event_time + (step.every * repeat if step.every else at - at)
        key = step.customer_id, tuple(sorted(step.dimensions.items())), used_at < at
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(at, used_at, used_at)
        group.first, group.last = min(group.first, used_at), max(group.last, used_at)
        group.event_count += 1
        with exact_context():
            for name, quantity in step.quantities.items():
                group.quantities[name] += Decimal(quantity)

    def take(self) -> Iterator[ScenarioEvent]:
        """Yields what was added, one event a customer and set of dimensions, and begins anew."""
        groups, self._groups = self._groups, {}
        for (customer_id, dimensions, is_late), group in groups.items():
            used = ", ".join(
                f"{plain_decimal(quantity)} {name}" for name, quantity in group.quantities.items()
            )
            named = " ".join(f"{name}={value}" for name, value in dimensions)
            yield ScenarioEvent(
                group.heard_at,
                "usage.late" if is_late else "usage.received",
                {
                    "customer": customer_id,
                    "used": f"{used} ({named})" if named else used,
                    "event_count": str(group.event_count),
                    "first": format_instant(group.first),
                    "last": format_instant(group.last),
                },
            )
