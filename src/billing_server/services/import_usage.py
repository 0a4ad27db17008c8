"""Backfill: usage from a file, past the window in which agents accept events (R11).

An explicit command of an operator. Events go the way of all usage: under their unique key, so that
a file that is imported twice, or overlaps with what agents shipped, counts each event once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from billing_server.domain.ports.usage import EventRow
from billing_server.domain.usage.instants import microseconds_from_instant
from billing_server.services.context import ServiceContext
from billing_server.services.ingest_carefully import count_carefully
from billing_server.services.ingest_tally import Tally
from billing_server.services.malformed_event import storable_row
from billing_server.services.rating_terms import TermsCache
from billing_server.services.usage_payload import DecodedEvent, decode_row
from metering.api.v1 import usage_pb2
from metering.errors import ValidationError

IMPORT_EVENTS_MAX: Final = 5_000
"""Events of one call."""
PART_EVENTS_MAX: Final = 500
"""Events of one transaction."""
IMPORT_AGENT_REF: Final = 0
"""Stands for no agent in the rows of imported events."""
FUTURE_MAX: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedEvent:
    """An event of a file."""

    event_id: str
    """Unique for the customer; the same as at the agents, where they know the event too."""
    customer_id: str
    """Whose."""
    event_time: datetime
    """When it was used, however long ago."""
    quantities: Mapping[str, str]
    """Name to decimal string."""
    dimensions: Mapping[str, str] = field(default_factory=dict)
    """Name to value."""


def import_usage(context: ServiceContext, *, events: Sequence[ImportedEvent]) -> Tally:
    """Count events that no agent would accept any more, each exactly once.

    What cannot be counted yet waits in quarantine, as it would from an agent. Periods that were
    invoiced take the usage as late usage (R76).

    Raises:
        ValidationError: TOO_MANY_EVENTS, EVENT_TIME_IN_FUTURE; nothing is counted then.
    """
    if len(events) > IMPORT_EVENTS_MAX:
        raise ValidationError(
            reason="TOO_MANY_EVENTS",
            message=f"events: {len(events)} in one call; at most {IMPORT_EVENTS_MAX}",
        )
    now = context.clock.now()
    for number, event in enumerate(events):
        if event.event_time > now + FUTURE_MAX:
            raise ValidationError(
                reason="EVENT_TIME_IN_FUTURE",
                message=f"events[{number}].event_time: {event.event_time.isoformat()} is in the "
                "future; usage is recorded when it has happened",
            )
    terms = TermsCache()
    total = Tally()
    decoded = [_decoded(event, now=now) for event in events]
    for first in range(0, len(decoded), PART_EVENTS_MAX):
        with context.store.write() as unit:
            part = decoded[first : first + PART_EVENTS_MAX]
            total += count_carefully(unit, events=part, terms=terms, now=now)
    return total


def _decoded(event: ImportedEvent, *, now: datetime) -> DecodedEvent:
    message = usage_pb2.UsageEvent(
        event_id=event.event_id,
        customer_id=event.customer_id,
        quantities=event.quantities,
        dimensions=event.dimensions,
    )
    message.event_time.FromDatetime(event.event_time)
    row = EventRow(
        event.event_id,
        event.customer_id,
        microseconds_from_instant(event.event_time),
        microseconds_from_instant(now),
        IMPORT_AGENT_REF,
        0,
        message.SerializeToString(),
        None,
        None,
    )
    return decode_row(storable_row(row))
