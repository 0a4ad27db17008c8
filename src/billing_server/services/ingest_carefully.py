"""The careful path of ingest: for events of which some are known, and after any surprise.

What is stored under an event's key decides its result, so that a repeated push is answered the
same. New events are counted behind a savepoint; where they fail together each half is tried by
itself, so that in the end only the event that fails waits, with its trace.
"""

import hashlib
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Final

import structlog

from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import ConflictRow, EventKey, EventRow
from billing_server.domain.usage.instants import microseconds_from_instant
from billing_server.domain.usage.meter_index import Quarantine
from billing_server.services.charge_slot import AmountTooLargeError
from billing_server.services.ingest_tally import Tally
from billing_server.services.judge_event import (
    AMOUNT_TOO_LARGE,
    INTERNAL_ERROR,
    unknown_customer,
    waiting_row,
)
from billing_server.services.rating_terms import CatalogTerms, CompiledCustomer, TermsCache
from billing_server.services.repeated_debits import take_back_repeated_debits
from billing_server.services.usage_batch import UsageBatch
from billing_server.services.usage_payload import DecodedEvent, content_of
from metering.errors import ConflictError, UnavailableError

RETRY_SECONDS: Final = 0.1
"""How long an agent waits that lost a race."""

log = structlog.get_logger(__name__)


class _Known(Enum):
    """What an event is beside the one that is stored under its key."""

    SAME_ROW = "same_row"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


def count_carefully(
    unit: UnitOfWork,
    *,
    events: Sequence[DecodedEvent],
    terms: TermsCache,
    now: datetime,
    push: tuple[int, Sequence[DecodedEvent]] | None = None,
) -> Tally:
    """Counts those events that are new and judges those that are known.

    Args:
        unit: the transaction; the agent is locked in it.
        events: in the order of their positions.
        terms: compiled customers.
        now: when conflicts are noted.
        push: the disk that pushed them, and all events of the push that they are a part of; None:
            they come from no agent.
    """
    catalog = terms.catalog(unit)
    revisions = unit.usage.lock_customers({event.row.customer_id for event in events})
    customers = terms.customers(unit, catalog=catalog, revisions=revisions)
    stored = unit.usage.stored_events([_key(event) for event in events])
    new: dict[EventKey, DecodedEvent] = {}
    tally = Tally()
    conflicts: list[ConflictRow] = []
    repeated: dict[EventKey, EventRow] = {}
    for event in events:
        key = _key(event)
        known = stored.get(key)
        if known is None:
            first = new.setdefault(key, event)
            if first is event:
                continue
            known = first.row
        verdict = _compare(known, event)
        if verdict is not _Known.SAME_ROW:
            repeated[key] = known
        if verdict is _Known.CONFLICT:
            conflicts.append(_conflict_row(event, now=now))
            tally += Tally(conflicts=1)
        elif verdict is _Known.DUPLICATE:
            tally += Tally(duplicates=1)
        elif known.quarantine_reason is None:
            tally += Tally(counted=1)
        else:
            tally += Tally(quarantined=1)
    if conflicts:
        unit.usage.add_conflicts(conflicts)
    fresh = sorted(new.values(), key=_key)
    begin = partial(UsageBatch, now=now, disk_ref=None if push is None else push[0])
    tally += _count_new(unit, events=fresh, customers=customers, catalog=catalog, begin=begin)
    if push is not None and repeated:
        disk_ref, pushed = push
        part = range(events[0].row.seq, events[-1].row.seq + 1)
        take_back_repeated_debits(
            unit, repeated=repeated, part=part, pushed=pushed, disk_ref=disk_ref
        )
    return tally


def _count_new(
    unit: UnitOfWork,
    *,
    events: Sequence[DecodedEvent],
    customers: Mapping[str, CompiledCustomer],
    catalog: CatalogTerms,
    begin: Callable[[], UsageBatch],
) -> Tally:
    """Counts new events together; where that fails, each half by itself, down to one event.

    One bad event among 500 costs nine more attempts, of half the size each time. Each attempt
    begins a batch of its own.
    """
    if not events:
        return Tally()
    try:
        return _count_group(unit, events=events, customers=customers, catalog=catalog, begin=begin)
    except (ConflictError, UnavailableError):
        raise
    except AmountTooLargeError:
        if len(events) == 1:
            _insert_all(unit, [waiting_row(events[0], AMOUNT_TOO_LARGE)])
            return Tally(quarantined=1)
    except Exception:
        if len(events) == 1:
            log.exception("ingest_event_failed", customer_id=events[0].row.customer_id)
            waiting = Quarantine(INTERNAL_ERROR, traceback.format_exc())
            _insert_all(unit, [waiting_row(events[0], waiting)])
            return Tally(quarantined=1)
    middle = len(events) // 2
    return sum(
        (
            _count_new(unit, events=half, customers=customers, catalog=catalog, begin=begin)
            for half in (events[:middle], events[middle:])
        ),
        Tally(),
    )


def _count_group(
    unit: UnitOfWork,
    *,
    events: Sequence[DecodedEvent],
    customers: Mapping[str, CompiledCustomer],
    catalog: CatalogTerms,
    begin: Callable[[], UsageBatch],
) -> Tally:
    """Counts events behind one savepoint.

    Raises:
        OverflowError: a bucket would pass its bound, with several events to blame.
        AmountTooLargeError: a charge would.
    """
    batch = begin()
    with unit.usage.savepoint():
        rows = [
            _judged(
                event,
                customer=customers.get(event.row.customer_id),
                catalog=catalog,
                batch=batch,
            )
            for event in events
        ]
        too_large = batch.too_large(unit)
        if too_large is not None and len(events) > 1:
            raise OverflowError(too_large.reason)
        if too_large is not None:
            rows = [waiting_row(event, too_large) for event in events]
        _insert_all(unit, rows)
        if too_large is None:
            batch.write(unit)
    counted = sum(row.quarantine_reason is None for row in rows)
    return Tally(counted=counted, quarantined=len(rows) - counted)


def _insert_all(unit: UnitOfWork, rows: Sequence[EventRow]) -> None:
    if unit.usage.insert_events(rows) != len(rows):
        # Nothing locks an unknown customer: another server took the same event meanwhile.
        raise ConflictError(
            reason="EVENT_TAKEN_MEANWHILE",
            message="another push of the same events was faster; push again",
            retry_after_seconds=RETRY_SECONDS,
        )


def _judged(
    event: DecodedEvent,
    *,
    customer: CompiledCustomer | None,
    catalog: CatalogTerms,
    batch: UsageBatch,
) -> EventRow:
    """Adds an event to the batch, or returns the row in which it waits."""
    if event.row.quarantine_reason is not None:
        return event.row
    if customer is None:
        return waiting_row(event, unknown_customer(event))
    effects = catalog.index.effects(event.quantities, dimensions=event.dimensions)
    if isinstance(effects, Quarantine):
        return waiting_row(event, effects)
    batch.add(event, customer=customer, effects=effects)
    return event.row


def _key(event: DecodedEvent) -> EventKey:
    return event.row.event_id, event.row.customer_id


def _compare(known: EventRow, event: DecodedEvent) -> _Known:
    row = event.row
    if known.payload != row.payload and content_of(known.payload) != content_of(row.payload):
        return _Known.CONFLICT
    # Imported events have no position: one that is there is a repeat.
    if row.seq and (known.agent_ref, known.seq) == (row.agent_ref, row.seq):
        return _Known.SAME_ROW
    return _Known.DUPLICATE


def _conflict_row(event: DecodedEvent, *, now: datetime) -> ConflictRow:
    row = event.row
    content = content_of(row.payload).canonical_json()
    return ConflictRow(
        row.event_id,
        row.customer_id,
        hashlib.sha256(content.encode()).digest(),
        row.agent_ref,
        row.seq,
        row.receive_time_us,
        microseconds_from_instant(now),
        row.payload,
    )
