"""Discarding usage that waits: it is never counted, and its ids stay known for good (R14)."""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import EventRow
from billing_server.services.audit import note_action
from billing_server.services.context import ServiceContext
from billing_server.services.stated_reason import check_stated_reason
from billing_server.services.waiting_events import (
    EVENTS_MAX,
    WaitingSelection,
    hold_waiting,
    in_batches,
    lay_down,
    named_events,
)
from metering.errors import ValidationError

IDS_TOLD: Final = 20
"""Event ids that one entry of the audit tells one by one."""


def discard_quarantine(
    context: ServiceContext, *, selection: WaitingSelection, reason: str, actor: str
) -> int:
    """Discard waiting events; return how many were. To discard them twice changes nothing.

    Events that are named are discarded together or not at all; those of a customer or reason in
    batches, each its own transaction with an entry in the audit for each customer.

    Args:
        context: the world.
        selection: which.
        reason: why, for people; 1..256 bytes.
        actor: who does it.

    Raises:
        ValidationError: REASON_MISSING, REASON_TOO_LONG, EVENT_ID_AMBIGUOUS.
        NotFoundError: EVENT_NOT_FOUND.
        InvalidStateError: EVENT_COUNTED; none of the named ones is discarded.
        ConflictError: EVENT_TAKEN_MEANWHILE, DATABASE_BUSY; a repeat is safe.
    """
    check_stated_reason(reason)
    if selection.event_ids:
        with context.store.write() as unit:
            waiting = hold_waiting(unit, rows=named_events(unit, selection=selection))
            _discard(unit, context=context, rows=waiting, reason=reason, actor=actor)
        return len(waiting)

    def discard(unit: UnitOfWork, rows: Sequence[EventRow]) -> int:
        waiting = hold_waiting(unit, rows=rows)
        _discard(unit, context=context, rows=waiting, reason=reason, actor=actor)
        return len(waiting)

    return sum(in_batches(context.store, selection=selection, work=discard))


def discard_conflicts(
    context: ServiceContext,
    *,
    event_ids: Sequence[str] = (),
    customer_id: str | None = None,
    reason: str,
    actor: str,
) -> int:
    """Mark conflicts as looked at; return how many were not yet. The standing events stay.

    The same other content is not listed again, however often it comes.

    Args:
        context: the world.
        event_ids: under which ids, up to 500; empty: all of the customer.
        customer_id: whose; None: of every customer that has these ids.
        reason: why, for people; 1..256 bytes.
        actor: who does it.

    Raises:
        ValidationError: SELECTION_EMPTY, EVENT_IDS_TOO_MANY, REASON_MISSING, REASON_TOO_LONG.
    """
    check_stated_reason(reason)
    if not event_ids and customer_id is None:
        raise ValidationError(
            reason="SELECTION_EMPTY",
            message="event_ids: name the events, or a customer whose conflicts are all meant",
        )
    if len(event_ids) > EVENTS_MAX:
        raise ValidationError(
            reason="EVENT_IDS_TOO_MANY",
            message=f"event_ids: {len(event_ids)} ids; at most {EVENTS_MAX} a call, or name a "
            "customer",
        )
    with context.store.write() as unit:
        count = unit.usage.discard_conflicts(
            event_ids=event_ids, customer_id=customer_id, at=context.clock.now()
        )
        if count:
            note_action(
                unit,
                context=context,
                actor=actor,
                action="conflict.discard",
                subject=customer_id or "conflicts",
                detail={
                    "reason": reason,
                    "conflicts": count,
                    "event_ids": list(event_ids[:IDS_TOLD]),
                },
            )
    return count


def note_waiting_events(
    unit: UnitOfWork,
    *,
    context: ServiceContext,
    actor: str,
    action: str,
    rows: Sequence[EventRow],
    detail: dict[str, object],
) -> None:
    """Write into the audit what was done to waiting events: one entry a customer.

    Args:
        unit: the transaction that does it.
        context: the world.
        actor: who.
        action: such as `quarantine.discard`.
        rows: by customer.
        detail: what else is to be known.
    """
    for customer_id, group in groupby(rows, key=attrgetter("customer_id")):
        ids = [row.event_id for row in group]
        note_action(
            unit,
            context=context,
            actor=actor,
            action=action,
            subject=customer_id,
            detail={**detail, "events": len(ids), "event_ids": ids[:IDS_TOLD]},
        )


def _discard(
    unit: UnitOfWork,
    *,
    context: ServiceContext,
    rows: Sequence[EventRow],
    reason: str,
    actor: str,
) -> None:
    lay_down(unit, rows=rows, why=f"discarded by {actor}: {reason}")
    note_waiting_events(
        unit,
        context=context,
        actor=actor,
        action="quarantine.discard",
        rows=rows,
        detail={"reason": reason},
    )
