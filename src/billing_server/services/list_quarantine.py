"""Usage that waits for an operator: quarantined events and conflicts, without discarded ones."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from billing_server.domain.ports.usage import EventKey, EventRow, UsageConflict
from billing_server.domain.usage.instants import instant_from_microseconds
from billing_server.services.context import ServiceContext
from billing_server.services.pages import Page, PageRequest, page_from
from metering.api.v1 import usage_pb2
from metering.errors import ValidationError


@dataclass(frozen=True, slots=True)
class WaitingEvent:
    """A quarantined event, readable."""

    event_id: str
    """Id of the event."""
    customer_id: str
    """Whose usage it says it is."""
    event_time: datetime
    """When it was used."""
    receive_time: datetime
    """When an agent received it."""
    reason: str
    """Why it waits, in UPPER_SNAKE_CASE."""
    detail: str
    """For people."""
    quantities: Mapping[str, str]
    """As the event carries them."""
    dimensions: Mapping[str, str]
    """As the event carries them."""


@dataclass(frozen=True, slots=True)
class ConflictingEvent:
    """An event that came under a used id with other content, readable."""

    event_id: str
    """The id that was used twice."""
    customer_id: str
    """Whose usage."""
    receive_time: datetime
    """When an agent received it."""
    detect_time: datetime
    """When the server saw it."""
    quantities: Mapping[str, str]
    """What the second event carried."""
    dimensions: Mapping[str, str]
    """What the second event carried."""


def list_quarantine(
    context: ServiceContext,
    *,
    page: PageRequest,
    customer_id: str | None = None,
    waiting_reason: str | None = None,
) -> Page[WaitingEvent]:
    """List events that were received and wait, by customer and event id."""
    after = None if page.after is None else _event_key(page.after)
    with context.store.read() as unit:
        found = unit.usage.quarantined(
            customer_id=customer_id, reason=waiting_reason, after=after, limit=page.limit + 1
        )
    rows = page_from(found, request=page, key=lambda row: json.dumps([row[0], row[1]]))
    return rows.map(_waiting)


def list_conflicts(context: ServiceContext, *, limit: int) -> tuple[ConflictingEvent, ...]:
    """List the newest conflicts that nobody has discarded, newest first."""
    request = PageRequest(limit=limit)
    with context.store.read() as unit:
        found = unit.usage.conflicts(limit=request.limit)
    return tuple(_conflicting(conflict) for conflict in found)


def _event_key(after: str) -> EventKey:
    try:
        event_id, customer_id = json.loads(after)
    except (ValueError, TypeError) as error:
        raise ValidationError(
            reason="CURSOR_MALFORMED",
            message="cursor is not one that a list has given; start again without it",
        ) from error
    return str(event_id), str(customer_id)


def _waiting(row: EventRow) -> WaitingEvent:
    event = usage_pb2.UsageEvent.FromString(row.payload)
    return WaitingEvent(
        event_id=row.event_id,
        customer_id=row.customer_id,
        event_time=instant_from_microseconds(row.event_time_us),
        receive_time=instant_from_microseconds(row.receive_time_us),
        reason=row.quarantine_reason or "",
        detail=row.quarantine_detail or "",
        quantities=dict(sorted(event.quantities.items())),
        dimensions=dict(sorted(event.dimensions.items())),
    )


def _conflicting(conflict: UsageConflict) -> ConflictingEvent:
    event = usage_pb2.UsageEvent.FromString(conflict.payload)
    return ConflictingEvent(
        event_id=conflict.event_id,
        customer_id=conflict.customer_id,
        receive_time=conflict.receive_time,
        detect_time=conflict.detect_time,
        quantities=dict(sorted(event.quantities.items())),
        dimensions=dict(sorted(event.dimensions.items())),
    )
