"""Re-driving waiting usage under another customer; the key that it came under stays known (R14)."""

from collections.abc import Sequence
from dataclasses import dataclass

from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import EventRow
from billing_server.services.context import ServiceContext
from billing_server.services.discard_quarantine import note_waiting_events
from billing_server.services.judge_event import CUSTOMER_UNKNOWN
from billing_server.services.malformed_event import (
    EVENT_ID_MALFORMED,
    EVENT_TIME_MALFORMED,
    SAFE_KEY_PREFIX,
)
from billing_server.services.not_found import customer_not_found
from billing_server.services.rating_terms import TermsCache
from billing_server.services.redrive_quarantine import Redriven, redrive_events
from billing_server.services.stated_reason import check_stated_reason
from billing_server.services.waiting_events import (
    WaitingSelection,
    hold_waiting,
    in_batches,
    key_of,
    lay_down,
    named_events,
    taken_meanwhile,
)
from metering.api.v1 import usage_pb2
from metering.errors import InvalidStateError, ValidationError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """What is asked for."""

    to_customer_id: str
    reason: str
    actor: str


def reassign_quarantine(
    context: ServiceContext,
    *,
    selection: WaitingSelection,
    to_customer_id: str,
    reason: str,
    actor: str,
) -> Redriven:
    """Count waiting events for another customer, each exactly once.

    Each is stored anew under its id and that customer, and counted, or waits there with its
    reason; what it came as stays stored and is never counted. Named events are taken together or
    not at all, those of a customer in batches, each its own transaction.

    Args:
        context: the world.
        selection: which; it names the events, or the customer that they came under.
        to_customer_id: whose usage they are.
        reason: why, for people; 1..256 bytes.
        actor: who does it.

    Returns:
        What was counted, and what waits: under the other customer, or, where an event id or time
        is malformed, as before.

    Raises:
        ValidationError: SELECTION_EMPTY, CUSTOMER_UNCHANGED, REASON_MISSING, REASON_TOO_LONG,
            EVENT_ID_AMBIGUOUS.
        NotFoundError: CUSTOMER_NOT_FOUND, EVENT_NOT_FOUND.
        InvalidStateError: EVENT_COUNTED; EVENT_ID_TAKEN: the other customer has such an event.
        ConflictError: EVENT_TAKEN_MEANWHILE, DATABASE_BUSY; a repeat is safe.
    """
    check_stated_reason(reason)
    if not selection.event_ids and selection.customer_id is None:
        raise ValidationError(
            reason="SELECTION_EMPTY",
            message="customer: name the customer that the events came under, or their event_ids",
        )
    if selection.customer_id == to_customer_id:
        raise _unchanged(to_customer_id)
    move = _Move(to_customer_id=to_customer_id, reason=reason, actor=actor)
    terms = TermsCache()
    if selection.event_ids:
        with context.store.write() as unit:
            rows = named_events(unit, selection=selection)
            return _reassign(unit, context=context, rows=rows, move=move, terms=terms)

    def reassign(unit: UnitOfWork, rows: Sequence[EventRow]) -> Redriven:
        return _reassign(unit, context=context, rows=rows, move=move, terms=terms)

    return sum(in_batches(context.store, selection=selection, work=reassign), Redriven())


def _reassign(
    unit: UnitOfWork,
    *,
    context: ServiceContext,
    rows: Sequence[EventRow],
    move: _Move,
    terms: TermsCache,
) -> Redriven:
    to_customer_id = move.to_customer_id
    terms.catalog(unit)
    if unit.customers.get(to_customer_id) is None:
        raise customer_not_found(to_customer_id)
    if any(row.customer_id == to_customer_id for row in rows):
        raise _unchanged(to_customer_id)
    waiting = hold_waiting(unit, rows=rows, also=[to_customer_id])
    movable = [row for row in waiting if _is_movable(row)]
    moved = [_moved(row, to_customer_id) for row in movable]
    taken = unit.usage.stored_events([key_of(row) for row in moved])
    if taken:
        raise _id_taken(*min(taken))
    if unit.usage.insert_events(moved) != len(moved):
        raise taken_meanwhile()
    why = f"re-driven under customer {to_customer_id} by {move.actor}: {move.reason}"
    lay_down(unit, rows=movable, why=why)
    note_waiting_events(
        unit,
        context=context,
        actor=move.actor,
        action="quarantine.reassign",
        rows=movable,
        detail={"reason": move.reason, "to_customer": to_customer_id},
    )
    redriven = redrive_events(unit, rows=moved, terms=terms)
    return redriven + Redriven(waiting=len(waiting) - len(movable))


def _is_movable(row: EventRow) -> bool:
    """Tell whether another customer may make an event countable."""
    return row.quarantine_reason not in (
        EVENT_ID_MALFORMED,
        EVENT_TIME_MALFORMED,
    ) and not row.event_id.startswith(SAFE_KEY_PREFIX)


def _moved(row: EventRow, to_customer_id: str) -> EventRow:
    """Return an event as that customer would have sent it, without what leases bore of it."""
    sent = usage_pb2.UsageEvent.FromString(row.payload)
    event = usage_pb2.UsageEvent(
        event_id=sent.event_id,
        customer_id=to_customer_id,
        quantities=sent.quantities,
        dimensions=sent.dimensions,
    )
    if sent.HasField("event_time"):
        event.event_time.CopyFrom(sent.event_time)
    return row._replace(
        customer_id=to_customer_id,
        payload=event.SerializeToString(deterministic=True),
        quarantine_reason=CUSTOMER_UNKNOWN,
        quarantine_detail=f"customer_id: it came under {row.customer_id!r}",
    )


def _unchanged(customer_id: str) -> ValidationError:
    return ValidationError(
        reason="CUSTOMER_UNCHANGED",
        message=f"to_customer: events are of {customer_id!r} already; re-drive those as they are",
    )


def _id_taken(event_id: str, customer_id: str) -> InvalidStateError:
    return InvalidStateError(
        reason="EVENT_ID_TAKEN",
        message=f"event_ids: customer {customer_id!r} has an event {event_id!r} already; discard "
        "the one that waits if it is the same usage, or else adjust the meter",
    )
