"""Settling and releasing: the reservation, its leases and its usage event in one commit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp

from meter_agent.core.quota import reservation as core
from meter_agent.core.quota import settle as effects
from meter_agent.core.quota.reservation import (
    Content,
    EndCase,
    Ending,
    EndKind,
    Reservation,
    ReservationState,
)
from meter_agent.core.quota.settle import Effect
from meter_agent.core.quota.terms import CustomerTerms, Quantities
from meter_agent.quota.answers import Ended, overrun_of
from meter_agent.quota.reserving import Counter
from meter_agent.store.operation import Recorded
from metering.api.v1.ingest_pb2 import UsageEvents
from metering.api.v1.usage_pb2 import (
    SETTLEMENT_KIND_ELSEWHERE,
    SETTLEMENT_KIND_LATE,
    SETTLEMENT_KIND_RELEASED,
    SETTLEMENT_KIND_SETTLED,
    AllowanceUse,
    Debit,
    Settlement,
    SettlementKind,
    UsageEvent,
)
from metering.errors import AlreadyExistsError
from metering.ids import settlement_event_id
from metering.quantity import plain_decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What ends a reservation."""

    kind: EndKind
    """Which of the two calls."""
    reservation_id: str
    """The reservation."""
    customer_id: str
    """Whose; may be empty where this agent holds it."""
    quantities: Quantities
    """What was used; may be empty for a release."""
    dimensions: Mapping[str, str] = field(default_factory=dict)
    """As in a usage event; empty: those of the reservation."""
    event_time: Timestamp | None = None
    """When it was used; None: the time of receipt."""
    content: Content
    """What the call said, in canonical form."""


def end(asked: End, *, counter: Counter) -> tuple[Ended, Recorded | None]:
    """Ends a reservation; returns the answer and the usage to record with it.

    Args:
        asked: What ends it.
        counter: What is known.

    Raises:
        NotFoundError: RESERVATION_UNKNOWN: it is not known here and no customer is named.
        AlreadyExistsError: SETTLEMENT_CONFLICT: it was ended before in another way.
    """
    found = counter.book.reservation(asked.reservation_id)
    if found is None and not asked.customer_id:
        raise core.unknown_reservation(asked.reservation_id)
    if found is not None and asked.customer_id not in ("", found.customer_id):
        raise _of_another_customer(asked.reservation_id)
    case = core.case_of_ending(
        found, kind=asked.kind, content=asked.content, reservation_id=asked.reservation_id
    )
    if found is not None and case is EndCase.REPEATED:
        event_id = found.ending.event_id if found.ending is not None else ""
        return Ended(event_id, _kind_of(found), _overrun(asked, found)), None
    known = found or _held_elsewhere(asked)
    terms = counter.book.terms_of(known.customer_id)
    terms = terms or CustomerTerms(customer_id=known.customer_id)
    effect = _effect(asked, known, case=case, terms=terms, counter=counter)
    quantities = asked.quantities or _guess_taken_back(known)
    event = _event(asked, known, case=case, effect=effect, quantities=quantities)
    event_id = "" if event is None else event.event_id
    ending = Ending(kind=asked.kind, content=asked.content, event_id=event_id)
    after = core.ended(known, ending=ending)
    counter.book.put_leases(counter.lowered.left_over(effect.leases))
    counter.book.put_reservation(after)
    counter.book.note_use(known.customer_id, asked.quantities)
    counter.figures.overran(effect.uncovered, terms=terms)
    counter.figures.ended[case.value] += 1
    answer = Ended(event_id, _kind(asked.kind, case), _overrun(asked, known))
    return answer, None if event is None else recorded([event])


def recorded(events: list[UsageEvent]) -> Recorded:
    """Returns usage as an operation hands it over."""
    return Recorded(UsageEvents(events=events).SerializeToString(), len(events))


def debits_of(effect: Effect) -> list[Debit]:
    """Returns what an event took from which lease."""
    return [Debit(lease_id=lease_id, amount=amount) for lease_id, amount in effect.debits]


def allowances_of(effect: Effect) -> list[AllowanceUse]:
    """Returns what an event used of the agent's own allowances."""
    return [AllowanceUse(limit_key=key, amount=amount) for key, amount in effect.allowances.items()]


def _effect(
    asked: End, known: Reservation, *, case: EndCase, terms: CustomerTerms, counter: Counter
) -> Effect:
    book = counter.book
    dimensions = _dimensions(asked, known)
    ahead = book.ahead_of(known.customer_id, asked.quantities, ended=known)
    if case is EndCase.ELSEWHERE:
        return effects.debit_usage(
            terms=terms,
            leases=book.leases_of(known.customer_id),
            dimensions=dimensions,
            quantities=asked.quantities,
            now_us=book.clock.now_us(),
            ahead=ahead,
        )
    return effects.settle(
        known,
        terms=terms,
        leases=book.leases_of(known.customer_id),
        dimensions=dimensions,
        quantities=asked.quantities,
        now_us=book.clock.now_us(),
        ahead=ahead,
    )


def _guess_taken_back(known: Reservation) -> Quantities:
    """Returns the usage of a release with nothing incurred: only a guess needs to hear of it."""
    return {name: Decimal(0) for name in known.granted} if known.expiry_event_id else {}


def _event(
    asked: End, known: Reservation, *, case: EndCase, effect: Effect, quantities: Quantities
) -> UsageEvent | None:
    if not quantities:
        return None
    return UsageEvent(
        event_id=settlement_event_id(known.customer_id, known.reservation_id),
        customer_id=known.customer_id,
        event_time=asked.event_time,
        quantities={name: plain_decimal(value) for name, value in quantities.items()},
        dimensions=_dimensions(asked, known),
        debits=debits_of(effect),
        settlement=Settlement(
            reservation_id=known.reservation_id,
            kind=_kind(asked.kind, case),
            voids_event_id=known.expiry_event_id,
            allowances=allowances_of(effect),
        ),
    )


def _held_elsewhere(asked: End) -> Reservation:
    """Returns the row of a reservation that this agent does not hold: a retry finds it."""
    return Reservation(
        customer_id=asked.customer_id,
        reservation_id=asked.reservation_id,
        content=Content(),
        granted={},
    )


def _dimensions(asked: End, known: Reservation) -> dict[str, str]:
    return dict(asked.dimensions) or dict(known.content.dimensions)


def _overrun(asked: End, known: Reservation) -> Quantities:
    return overrun_of(asked.quantities, granted=known.granted)


def _kind(kind: EndKind, case: EndCase) -> SettlementKind:
    if case is EndCase.LATE:
        return SETTLEMENT_KIND_LATE
    if case is EndCase.ELSEWHERE:
        return SETTLEMENT_KIND_ELSEWHERE
    return SETTLEMENT_KIND_SETTLED if kind is EndKind.SETTLE else SETTLEMENT_KIND_RELEASED


def _kind_of(found: Reservation) -> SettlementKind:
    """Returns how a reservation was ended, for a retry."""
    if found.state is ReservationState.LATE_SETTLED:
        return SETTLEMENT_KIND_LATE
    if not found.was_held_here:
        return SETTLEMENT_KIND_ELSEWHERE
    is_settled = found.state is ReservationState.SETTLED
    return SETTLEMENT_KIND_SETTLED if is_settled else SETTLEMENT_KIND_RELEASED


def _of_another_customer(reservation_id: str) -> AlreadyExistsError:
    return AlreadyExistsError(
        reason="SETTLEMENT_CONFLICT",
        message=f"reservation {reservation_id!r} is of another customer; leave customer_id unset, "
        "or name the one that it was made for",
    )
