"""Which events, corrections and adjustments were counted after their period was invoiced."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from billing_server.domain.ports.late_facts import LateFact, LateFactKind
from billing_server.domain.usage.meter_index import MeterEffect
from billing_server.services.rating_terms import CompiledCustomer
from billing_server.services.usage_payload import DecodedEvent

PeriodKey = tuple[str, int]
"""Subscription and start of a period, in microseconds since 1970 UTC."""


class CountedEvent(NamedTuple):
    """An event with what it brought to which meters."""

    event: DecodedEvent
    customer: CompiledCustomer
    effects: Sequence[MeterEffect]


def late_events(
    counted: Iterable[CountedEvent], *, invoiced: Collection[PeriodKey]
) -> list[LateFact]:
    """Return the events that feed a period which is invoiced, once for each.

    Args:
        counted: the events.
        invoiced: periods that are.
    """
    facts: dict[LateFact, None] = {}
    for event, customer, effects in counted:
        for meter, _ in effects:
            route = customer.route(
                meter, dimensions=event.dimensions, dimensions_json=event.dimensions_json
            )
            period = route.period_at(event.minute)
            if period in invoiced and period is not None:
                time_us, fact_id = event.row.event_time_us, event.row.event_id
                facts[LateFact(*period, time_us, fact_id, LateFactKind.EVENT)] = None
    return list(facts)


def late_corrections(
    periods: Iterable[PeriodKey], *, event_time_us: int, fact_id: str, kind: LateFactKind
) -> list[LateFact]:
    """Return a correction or an adjustment, once for each invoiced period that it may change."""
    return [LateFact(*period, event_time_us, fact_id, kind) for period in sorted(periods)]
