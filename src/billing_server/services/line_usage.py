"""The way down from an invoice line: the series that it folds, and the events behind them.

Whether an event counts for a line is asked of the function that assigned it when it was counted
(`CustomerAssigner`), so that what is shown is what was charged.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from billing_server.domain.catalog.model import Meter
from billing_server.domain.ports.events import EventPosition
from billing_server.domain.ports.late_facts import LateFactKind
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import EventRow, SeriesUsage
from billing_server.domain.ports.usage_facts import Adjustment, CorrectionKind
from billing_server.domain.rating.assignment import Assignment, CustomerAssigner, UsageKey
from billing_server.domain.usage.instants import (
    instant_from_microseconds,
    instant_from_minute,
    microseconds_from_instant,
)
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
    is_late: bool = False
    """Whether the line stands for what was counted after the period was invoiced."""
    number: str | None = None
    """Of the line's invoice; None: the upcoming one."""

    def holds(self, found: Assignment, *, dimensions: Mapping[str, str]) -> bool:
        """Tells whether usage with this assignment and these dimensions counts for the line."""
        if found.timeline is None or found.segment is None:
            return False
        return (
            found.timeline.subscription.id == self.subscription_id
            and UsageKey.of(found.segment) == UsageKey(self.price_key, self.segment)
            and all(dimensions.get(key, "") == value for key, value in self.group.items())
        )


class FactState(StrEnum):
    """What became of an event that a line stands for."""

    COUNTED = "counted"
    """As it came."""
    AMENDED = "amended"
    """With the quantities of its newest amendment (R16)."""
    VOIDED = "voided"
    """Kept, and counts nothing (R16)."""
    ADJUSTMENT = "adjustment"
    """No event: a signed quantity that was added by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineEvent:
    """One event or adjustment that a line stands for."""

    event_id: str
    """Of the event or the adjustment."""
    event_time_us: int
    """When it counts, in microseconds since 1970 UTC."""
    receive_time_us: int | None = None
    """When an agent heard of it; None: an adjustment."""
    value: int
    """What it brings the line's meter now, in the meter's smallest unit."""
    quantities: Mapping[str, str] = field(default_factory=dict)
    """As the event was sent; empty: an adjustment."""
    dimensions: Mapping[str, str]
    """Of the event or the adjustment."""
    state: FactState
    """What became of it."""
    reason: str = ""
    """Why it was corrected or added, for people."""

    @property
    def position(self) -> EventPosition:
        """Where it stands in the order of time."""
        return self.event_time_us, self.event_id


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some of a line's events, in order of time."""

    events: tuple[LineEvent, ...]
    """Those of the page."""
    next_position: EventPosition | None
    """Behind which the next page begins; None: this was the last one."""


def series_of_line(
    unit: UnitOfWork, *, terms: CustomerTerms, scope: LineScope, at: datetime | None = None
) -> tuple[SeriesUsage, ...]:
    """Return the folds of usage that a line is made of, one a series and constant span.

    Args:
        unit: its reads see one state.
        terms: of the line's customer.
        scope: which line.
        at: the instant of looking, up to which levels count; None: to the period's end.
    """
    assigner = terms.assigner
    return tuple(
        series
        for span in assigner.constant_spans(scope.period)
        for series in fold_meter(unit, terms.customer.id, meter=scope.meter, span=span, at=at)
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
    counter = _LineCounter(unit, terms=terms, scope=scope)
    found: list[LineEvent] = []
    walk = _facts_in(unit, terms=terms, scope=scope, after=after, limit=limit)
    for scanned_count, fact in enumerate(walk, start=1):
        shown = counter.event_of(fact)
        if shown is not None:
            found.append(shown)
        if len(found) > limit:
            return EventPage(tuple(found[:limit]), found[limit - 1].position)
        if scanned_count >= EVENTS_SCANNED_MAX:
            return EventPage(tuple(found), _position_of(fact))
    return EventPage(tuple(found), None)


class _LineCounter:
    """Tells what an event or an adjustment brings a line."""

    def __init__(self, unit: UnitOfWork, *, terms: CustomerTerms, scope: LineScope) -> None:
        self._unit = unit
        self._scope = scope
        self._index = load_catalog_terms(unit, revision=0).index
        self._assigner: CustomerAssigner = terms.assigner

    def event_of(self, fact: EventRow | Adjustment) -> LineEvent | None:
        """Returns what the line shows of it; None where it counts elsewhere."""
        return self._adjusted(fact) if isinstance(fact, Adjustment) else self._counted(fact)

    def _counted(self, row: EventRow) -> LineEvent | None:
        key = (row.event_id, row.customer_id)
        correction = self._unit.usage_facts.corrections([key]).get(key)
        sent, counted = decode_row(row), corrected(row, correction)
        # A voided event is shown where it counted before: as it was sent.
        value = self._value_of(sent if counted is None else counted)
        if value is None:
            return None
        state = FactState.COUNTED if correction is None else _STATES[correction.kind]
        return LineEvent(
            event_id=row.event_id,
            event_time_us=row.event_time_us,
            receive_time_us=row.receive_time_us,
            value=0 if counted is None else value,
            quantities=sent.quantities,
            dimensions=sent.dimensions,
            state=state,
            reason="" if correction is None else correction.reason,
        )

    def _adjusted(self, adjustment: Adjustment) -> LineEvent | None:
        at = floor_to_minute(adjustment.event_time)
        is_of_meter = adjustment.meter_key == self._scope.meter.key
        if not is_of_meter or not self._is_of_line(adjustment.dimensions, at=at):
            return None
        return LineEvent(
            event_id=adjustment.id,
            event_time_us=microseconds_from_instant(adjustment.event_time),
            value=adjustment.value,
            dimensions=adjustment.dimensions,
            state=FactState.ADJUSTMENT,
            reason=adjustment.reason,
        )

    def _value_of(self, event: DecodedEvent) -> int | None:
        """Returns what an event brings the line's meter; None where it counts nothing there."""
        effects = self._index.effects(event.quantities, dimensions=event.dimensions)
        if isinstance(effects, Quarantine):
            return None
        values = [value for meter, value in effects if meter.key == self._scope.meter.key]
        is_of_line = self._is_of_line(event.dimensions, at=instant_from_minute(event.minute))
        return values[0] if values and is_of_line else None

    def _is_of_line(self, dimensions: Mapping[str, str], *, at: datetime) -> bool:
        found = self._assigner.assign(self._scope.meter.key, dimensions=dimensions, at=at)
        return self._scope.holds(found, dimensions=dimensions)


_STATES: Final = {
    CorrectionKind.VOID: FactState.VOIDED,
    CorrectionKind.AMEND: FactState.AMENDED,
}


def _position_of(fact: EventRow | Adjustment) -> EventPosition:
    if isinstance(fact, Adjustment):
        return microseconds_from_instant(fact.event_time), fact.id
    return fact.event_time_us, fact.event_id


def are_late_facts_known(unit: UnitOfWork, *, terms: CustomerTerms, scope: LineScope) -> bool:
    """Tell whether it is known what a late line stands for; not of lines of earlier versions."""
    start = _billing_period_start(terms, scope=scope)
    return scope.is_late and bool(
        unit.late_facts.page(
            scope.subscription_id, period_start=start, number=scope.number, after=None, limit=1
        )
    )


def _billing_period_start(terms: CustomerTerms, *, scope: LineScope) -> datetime:
    """Return the start of the billing period in which the line's service lies."""
    timeline = terms.timelines.get(scope.subscription_id)
    period = None if timeline is None else timeline.period_at(scope.period.start)
    return scope.period.start if period is None else period.start


def _facts_in(
    unit: UnitOfWork,
    *,
    terms: CustomerTerms,
    scope: LineScope,
    after: EventPosition | None,
    limit: int,
) -> Iterator[EventRow | Adjustment]:
    """Walk the events and adjustments that a line may stand for."""
    if are_late_facts_known(unit, terms=terms, scope=scope):
        yield from _late_facts(unit, terms=terms, scope=scope, after=after, limit=limit)
        return
    start = _billing_period_start(terms, scope=scope)
    for minute in _minutes_in(unit, terms=terms, scope=scope, after=after):
        late = (
            frozenset[str]()
            if scope.is_late
            else unit.late_facts.new_in(
                scope.subscription_id, period_start=start, start=minute, end=minute + _MINUTE
            )
        )
        facts = _facts_of_minute(
            unit, customer_id=terms.customer.id, minute=minute, after=after, limit=limit
        )
        yield from (fact for fact in facts if _position_of(fact)[1] not in late)


def _late_facts(
    unit: UnitOfWork,
    *,
    terms: CustomerTerms,
    scope: LineScope,
    after: EventPosition | None,
    limit: int,
) -> Iterator[EventRow | Adjustment]:
    """Walk what was counted after the line's period was invoiced, and stands on its invoice."""
    customer_id = terms.customer.id
    start = _billing_period_start(terms, scope=scope)
    while True:
        found = unit.late_facts.page(
            scope.subscription_id,
            period_start=start,
            number=scope.number,
            after=after,
            limit=limit + 1,
        )
        rows = unit.usage.stored_events([(fact_id, customer_id) for _, fact_id, _ in found])
        shown: set[str] = set()
        for time_us, fact_id, kind in found:
            if fact_id in shown:
                continue  # Counted late, and corrected before it was invoiced.
            shown.add(fact_id)
            if kind is not LateFactKind.ADJUSTMENT:
                yield rows[fact_id, customer_id]
                continue
            minute = floor_to_minute(instant_from_microseconds(time_us))
            made = unit.usage_facts.adjustments(customer_id, start=minute, end=minute + _MINUTE)
            yield from (each for each in made if each.id == fact_id)
        if len(found) <= limit:
            return
        after = found[-1][0], found[-1][1]


def _facts_of_minute(
    unit: UnitOfWork,
    *,
    customer_id: str,
    minute: datetime,
    after: EventPosition | None,
    limit: int,
) -> Iterator[EventRow | Adjustment]:
    """Walk the customer's events and adjustments of a minute in which the meter has usage."""
    rows = _events_in(unit, customer_id=customer_id, minute=minute, after=after, limit=limit)
    adjustments = unit.usage_facts.adjustments(customer_id, start=minute, end=minute + _MINUTE)
    facts: tuple[Iterable[EventRow | Adjustment], ...] = (rows, adjustments)
    for fact in heapq.merge(*facts, key=_position_of):
        if after is None or _position_of(fact) > after:
            yield fact


def _events_in(
    unit: UnitOfWork,
    *,
    customer_id: str,
    minute: datetime,
    after: EventPosition | None,
    limit: int,
) -> Iterator[EventRow]:
    """Walk the customer's events of one minute, a bounded number at a time."""
    while True:
        rows = unit.events.in_minute(customer_id, minute=minute, after=after, limit=limit + 1)
        yield from rows
        if len(rows) <= limit:
            return
        after = rows[-1].event_time_us, rows[-1].event_id


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
