"""Choosing events that wait, and laying them down: what discarding and reassigning share."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final, TypeVar

from billing_server.domain.limit.lease import debited
from billing_server.domain.ports.unit_of_work import Store, UnitOfWork
from billing_server.domain.ports.usage import DISCARDED, EventKey, EventRow
from billing_server.services.judge_event import DETAIL_LENGTH_MAX
from metering.api.v1 import usage_pb2
from metering.errors import ConflictError, InvalidStateError, NotFoundError, ValidationError

EVENTS_MAX: Final = 500
"""Events of one transaction, and event ids of one selection."""
RETRY_SECONDS: Final = 0.1
"""How long a caller waits that lost a race."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingSelection:
    """Which waiting events are meant: those of some ids, or all of a customer or reason.

    Raises:
        ValidationError: SELECTION_EMPTY, SELECTION_CONTRADICTORY or EVENT_IDS_TOO_MANY.
    """

    event_ids: tuple[str, ...] = ()
    """Up to 500; empty: all that match the rest."""
    customer_id: str | None = None
    """Only of this customer; with ids needed only where several customers have one of them."""
    waiting_reason: str | None = None
    """Only those that wait for this reason, in UPPER_SNAKE_CASE; never beside ids."""

    def __post_init__(self) -> None:
        if not self.event_ids and self.customer_id is None and self.waiting_reason is None:
            raise ValidationError(
                reason="SELECTION_EMPTY",
                message="event_ids: name the events, or a customer or waiting_reason whose events "
                "are all meant",
            )
        if self.event_ids and self.waiting_reason is not None:
            raise ValidationError(
                reason="SELECTION_CONTRADICTORY",
                message="waiting_reason: events are named by their ids already; leave one of both "
                "out",
            )
        if len(self.event_ids) > EVENTS_MAX:
            raise ValidationError(
                reason="EVENT_IDS_TOO_MANY",
                message=f"event_ids: {len(self.event_ids)} ids; at most {EVENTS_MAX} a call, or "
                "name a customer or waiting_reason",
            )


def named_events(unit: UnitOfWork, *, selection: WaitingSelection) -> list[EventRow]:
    """Returns the events that are named by id, whatever their state.

    Raises:
        NotFoundError: EVENT_NOT_FOUND.
        ValidationError: EVENT_ID_AMBIGUOUS.
    """
    return [
        _named_event(unit, event_id=event_id, customer_id=selection.customer_id)
        for event_id in dict.fromkeys(selection.event_ids)
    ]


def events_named(unit: UnitOfWork, *, event_id: str, customer_id: str | None) -> list[EventRow]:
    """Returns the events that an id may mean, of a customer or, for None, of any.

    What was discarded is meant only where there is nothing else: an event that was reassigned has
    left such a one under the customer that it came as.
    """
    found = [
        row
        for row in unit.usage_facts.events_of_id(event_id)
        if customer_id is None or row.customer_id == customer_id
    ]
    return [row for row in found if row.quarantine_reason != DISCARDED] or found


def hold_waiting(
    unit: UnitOfWork, *, rows: Sequence[EventRow], also: Collection[str] = ()
) -> list[EventRow]:
    """Holds the customers of events; returns those that wait, as they stand now.

    Args:
        unit: a write transaction.
        rows: events as they were read before.
        also: ids of further customers to hold.

    Raises:
        InvalidStateError: EVENT_COUNTED.
        ConflictError: EVENT_TAKEN_MEANWHILE: one that waited when it was read is counted by now; a
            repeat is safe.
    """
    unit.usage.lock_customers({row.customer_id for row in rows} | set(also))
    current = unit.usage.stored_events([key_of(row) for row in rows]).values()
    waited = {key_of(row) for row in rows if row.is_waiting}
    for row in current:
        if row.quarantine_reason is None:
            if key_of(row) in waited:
                raise taken_meanwhile()
            raise InvalidStateError(
                reason="EVENT_COUNTED",
                message=f"event_ids: event {row.event_id!r} of customer {row.customer_id!r} is "
                "counted; void it instead (`billing-server usage void`)",
            )
    return sorted((row for row in current if row.is_waiting), key=attrgetter("customer_id"))


def lay_down(unit: UnitOfWork, *, rows: Sequence[EventRow], why: str) -> None:
    """Discards waiting events: they are never counted, and their ids stay known (R14).

    What agents debited leases for them is use that never was: it only ends being escrowed.

    Args:
        unit: a write transaction that holds their customers.
        rows: events that wait.
        why: for people; kept with each event, beside the reason for which it waited.

    Raises:
        ConflictError: EVENT_TAKEN_MEANWHILE; a repeat is safe.
    """
    by_reason = attrgetter("quarantine_reason")
    for reason, group in groupby(sorted(rows, key=by_reason), key=by_reason):
        keys = [key_of(row) for row in group]
        detail = f"{why}; it waited for {reason}"[:DETAIL_LENGTH_MAX]
        if unit.usage.set_quarantine(keys, reason=DISCARDED, detail=detail) != len(keys):
            raise taken_meanwhile()
    _end_debits(unit, rows=rows)


def taken_meanwhile() -> ConflictError:
    """Returns the error for events that another server counted or discarded just now."""
    return ConflictError(
        reason="EVENT_TAKEN_MEANWHILE",
        message="some of the events were counted or discarded meanwhile; call again",
        retry_after_seconds=RETRY_SECONDS,
    )


def key_of(row: EventRow) -> EventKey:
    """Returns the key of an event."""
    return row.event_id, row.customer_id


def _named_event(unit: UnitOfWork, *, event_id: str, customer_id: str | None) -> EventRow:
    found = events_named(unit, event_id=event_id, customer_id=customer_id)
    if not found:
        of = "" if customer_id is None else f" of customer {customer_id!r}"
        raise NotFoundError(
            reason="EVENT_NOT_FOUND",
            message=f"event_ids: there is no event {event_id!r}{of}; see `billing-server "
            "quarantine list`",
        )
    if len(found) > 1:
        raise ValidationError(
            reason="EVENT_ID_AMBIGUOUS",
            message=f"customer: {len(found)} customers have an event {event_id!r}; name the one",
        )
    return found[0]


def _end_debits(unit: UnitOfWork, *, rows: Sequence[EventRow]) -> None:
    debits = [
        debit
        for row in rows
        for debit in usage_pb2.UsageEvent.FromString(row.payload).debits
        if debit.amount > 0
    ]
    if not debits:
        return
    lease_ids = {debit.lease_id for debit in debits}
    unit.limits.lock_accounts({lease.key for lease in unit.leases.by_id(lease_ids).values()})
    # Read under the locks of their accounts.
    leases = unit.leases.by_id(lease_ids)
    for debit in debits:
        if debit.lease_id in leases:
            leases[debit.lease_id] = debited(leases[debit.lease_id], amount=debit.amount)
    unit.leases.put(list(leases.values()))


def in_batches(
    store: Store,
    *,
    selection: WaitingSelection,
    work: Callable[[UnitOfWork, Sequence[EventRow]], T],
) -> Iterator[T]:
    """Does something with all that waits for a customer or reason; yields what each batch gave.

    Args:
        store: opens a transaction for each batch.
        selection: which; it names no ids.
        work: done with a batch, in its transaction.
    """
    after: EventKey | None = None
    while True:
        with store.write() as unit:
            rows = unit.usage.quarantined(
                customer_id=selection.customer_id,
                reason=selection.waiting_reason,
                after=after,
                limit=EVENTS_MAX,
            )
            done = work(unit, rows)
        yield done
        if len(rows) < EVENTS_MAX:
            return
        after = key_of(rows[-1])
