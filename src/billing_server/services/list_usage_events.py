"""The events behind a usage query: what a customer's meter counted in a window, one by one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from billing_server.domain.catalog.model import Meter
from billing_server.domain.ports.events import EventPosition
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import EventRow
from billing_server.domain.ports.usage_facts import Correction
from billing_server.domain.usage.instants import instant_from_microseconds
from billing_server.domain.usage.meter_index import Quarantine
from billing_server.services.context import ServiceContext
from billing_server.services.event_cursor import event_cursor, event_position
from billing_server.services.not_found import customer_not_found, meter_not_found
from billing_server.services.pages import Page, PageRequest
from billing_server.services.query_usage import UsageQuery
from billing_server.services.rating_terms import load_catalog_terms
from billing_server.services.recount_usage import corrected
from billing_server.services.usage_payload import DecodedEvent, decode_row
from metering.clock import floor_to_minute

MINUTES_READ: Final = 200
"""Minutes that are looked up together."""
EVENTS_SCANNED_MAX: Final = 5_000
"""Events that are looked at for one page, so that a filter that matches little stays bounded."""
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class CountedEvent:
    """An event that a meter counts."""

    event: DecodedEvent
    """As it was sent."""
    correction: Correction | None
    """Its newest correction; None: it counts as it was sent."""
    value: int
    """What it brings the meter, in its smallest unit."""


def list_usage_events(
    context: ServiceContext, *, query: UsageQuery, page: PageRequest
) -> tuple[Meter, Page[CountedEvent]]:
    """List the events that a meter counts in a window, by (event time, event id).

    A page may be shorter than asked for and still have a next one.

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND or METER_NOT_FOUND.
        ValidationError: CURSOR_MALFORMED.
    """
    after = event_position(page)
    with context.store.read() as unit:
        meter = unit.catalog.meter(query.meter_key)
        if meter is None:
            raise meter_not_found(query.meter_key)
        if unit.customers.get(query.customer_id) is None:
            raise customer_not_found(query.customer_id)
        found: list[CountedEvent] = []
        following: EventPosition | None = None
        index = load_catalog_terms(unit, revision=0).index
        for scanned, row in enumerate(_rows(unit, query=query, after=after), start=1):
            if len(found) == page.limit or scanned > EVENTS_SCANNED_MAX:
                break
            following = row.event_time_us, row.event_id
            key = (row.event_id, row.customer_id)
            correction = unit.usage_facts.corrections([key]).get(key)
            counted = corrected(row, correction)
            if counted is None or not _matches(counted, query.where):
                continue
            effects = index.effects(counted.quantities, dimensions=counted.dimensions)
            if isinstance(effects, Quarantine):
                continue
            values = [value for each, value in effects if each.key == meter.key]
            if values:
                found.append(CountedEvent(decode_row(row), correction, values[0]))
        else:
            following = None
    cursor = event_cursor(following)
    return meter, Page(tuple(found), cursor)


def _rows(
    unit: UnitOfWork, *, query: UsageQuery, after: EventPosition | None
) -> Iterator[EventRow]:
    """Walk the customer's counted events in the minutes in which the meter has usage."""
    start = query.start
    if after is not None:
        start = max(start, floor_to_minute(instant_from_microseconds(after[0])))
    while start < query.end:
        minutes = _minutes(unit, query=query, start=start)
        for minute in minutes:
            position = after
            while True:
                rows = unit.events.in_minute(
                    query.customer_id, minute=minute, after=position, limit=EVENTS_SCANNED_MAX
                )
                yield from rows
                if len(rows) < EVENTS_SCANNED_MAX:
                    break
                position = rows[-1].event_time_us, rows[-1].event_id
        if len(minutes) < MINUTES_READ:
            return
        start = minutes[-1] + _MINUTE


def _minutes(unit: UnitOfWork, *, query: UsageQuery, start: datetime) -> tuple[datetime, ...]:
    return unit.events.minutes(
        query.customer_id,
        meter_key=query.meter_key,
        start=start,
        end=query.end,
        limit=MINUTES_READ,
    )


def _matches(event: DecodedEvent, where: Mapping[str, str]) -> bool:
    return all(event.dimensions.get(key) == value for key, value in where.items())
