"""The way down from an invoice line: the series that it folds, and the events behind them.

Whether an event counts for a line is asked of the function that assigned it when it was counted
(`CustomerAssigner`), so that what is shown is what was charged.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from billing_server.domain.catalog.model import Meter
from billing_server.domain.ports.events import EventPosition
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import EventRow, SeriesUsage
from billing_server.domain.rating.assignment import Assignment, CustomerAssigner, UsageKey
from billing_server.domain.usage.instants import instant_from_microseconds, instant_from_minute
from billing_server.domain.usage.meter_index import Quarantine
from billing_server.services.customer_terms import CustomerTerms
from billing_server.services.level_folds import fold_meter
from billing_server.services.rating_terms import load_catalog_terms
from billing_server.services.recount_usage import corrected
from billing_server.services.usage_payload import DecodedEvent, decode_row
from metering.clock import floor_to_minute
from metering.period import Period

MINUTES_READ: Final = 500
"""Minutes with usage that are read at a time."""
EVENTS_SCANNED_MAX: Final = 20_000
"""Events looked at for one page: it ends there, shorter than asked for, and the next goes on."""
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineScope:
    """Which usage an invoice line stands for."""

    subscription_id: str
    """Whose line."""
    price_key: str
    """The price that charges it."""
    meter: Meter
    """What the price counts."""
    segment: int
    """Position of the segment in its period (R17)."""
    period: Period
    """The line's service period."""
    group: Mapping[str, str] = field(default_factory=dict)
    """Dimension values that the line stands for; empty: all."""

    def holds(self, found: Assignment, *, dimensions: Mapping[str, str]) -> bool:
        """Tells whether usage with this assignment and these dimensions counts for the line."""
        if found.timeline is None or found.segment is None:
            return False
        return (
            found.timeline.subscription.id == self.subscription_id
            and UsageKey.of(found.segment) == UsageKey(self.price_key, self.segment)
            and all(dimensions.get(key, "") == value for key, value in self.group.items())
        )


@dataclass(frozen=True, slots=True)
class LineEvent:
    """One event that a line counts."""

    event: DecodedEvent
    """The event, as it was sent."""
    value: int
    """What it brings the line's meter, in the meter's smallest unit."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some of a line's events, in order of time."""

    events: tuple[LineEvent, ...]
    """Those of the page."""
    next_position: EventPosition | None
    """Behind which the next page begins; None: this was the last one."""


def series_of_line(
    unit: UnitOfWork, *, terms: CustomerTerms, scope: LineScope
) -> tuple[SeriesUsage, ...]:
    """Return the folds of usage that a line is made of, one a series and constant span."""
    assigner = terms.assigner
    return tuple(
        series
        for span in assigner.constant_spans(scope.period)
        for series in fold_meter(unit, terms.customer.id, meter=scope.meter, span=span)
        if scope.holds(
            assigner.assign(scope.meter.key, dimensions=series.dimensions, at=span.start),
            dimensions=series.dimensions,
        )
    )


def events_of_line(
    unit: UnitOfWork,
    *,
    terms: CustomerTerms,
    scope: LineScope,
    after: EventPosition | None,
    limit: int,
) -> EventPage:
    """Return a page of the events that a line counts, by (event time, event id).

    Args:
        unit: its reads see one state.
        terms: of the line's customer.
        scope: which line.
        after: where the page before ended; None: from the first.
        limit: events of the page, from 1.
    """
    counts = _LineCounter(unit, terms=terms, scope=scope)
    found: list[LineEvent] = []
    walk = _events_in(unit, terms=terms, scope=scope, after=after, limit=limit)
    for scanned_count, row in enumerate(walk, start=1):
        event = decode_row(row)
        value = counts.value_of(row)
        if value is not None:
            found.append(LineEvent(event, value))
        if len(found) > limit:
            last = found[limit - 1].event.row
            return EventPage(tuple(found[:limit]), (last.event_time_us, last.event_id))
        if scanned_count >= EVENTS_SCANNED_MAX:
            return EventPage(tuple(found), (row.event_time_us, row.event_id))
    return EventPage(tuple(found), None)


class _LineCounter:
    """Tells what an event brings a line; remembers the assigner of each set of dimensions."""

    def __init__(self, unit: UnitOfWork, *, terms: CustomerTerms, scope: LineScope) -> None:
        self._unit = unit
        self._scope = scope
        self._index = load_catalog_terms(unit, revision=0).index
        self._assigner: CustomerAssigner = terms.assigner

    def value_of(self, row: EventRow) -> int | None:
        """Returns what an event brings the line's meter; None where it counts nothing there."""
        key = (row.event_id, row.customer_id)
        event = corrected(row, self._unit.usage_facts.corrections([key]).get(key))
        if event is None:
            return None
        effects = self._index.effects(event.quantities, dimensions=event.dimensions)
        if isinstance(effects, Quarantine):
            return None
        meter_key = self._scope.meter.key
        values = [value for meter, value in effects if meter.key == meter_key]
        if not values:
            return None
        found = self._assigner.assign(
            meter_key, dimensions=event.dimensions, at=instant_from_minute(event.minute)
        )
        return values[0] if self._scope.holds(found, dimensions=event.dimensions) else None


def _events_in(
    unit: UnitOfWork,
    *,
    terms: CustomerTerms,
    scope: LineScope,
    after: EventPosition | None,
    limit: int,
) -> Iterator[EventRow]:
    """Walk the customer's counted events in the minutes in which the line's meter has usage."""
    for minute in _minutes_in(unit, terms=terms, scope=scope, after=after):
        position = after
        while True:
            rows = unit.events.in_minute(
                terms.customer.id, minute=minute, after=position, limit=limit + 1
            )
            yield from rows
            if len(rows) <= limit:
                break
            position = rows[-1].event_time_us, rows[-1].event_id


def _minutes_in(
    unit: UnitOfWork, *, terms: CustomerTerms, scope: LineScope, after: EventPosition | None
) -> Iterator[datetime]:
    start = scope.period.start
    if after is not None:
        start = max(start, floor_to_minute(instant_from_microseconds(after[0])))
    while start < scope.period.end:
        minutes = unit.events.minutes(
            terms.customer.id,
            meter_key=scope.meter.key,
            start=start,
            end=scope.period.end,
            limit=MINUTES_READ,
        )
        yield from minutes
        if len(minutes) < MINUTES_READ:
            return
        start = minutes[-1] + _MINUTE
