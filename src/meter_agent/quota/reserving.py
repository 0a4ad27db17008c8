"""Reserving and extending: decided and held in one commit."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from meter_agent.core.quota import reservation as core
from meter_agent.core.quota.decide import (
    OFFLINE_LEASE_ID,
    Denial,
    DenialReason,
    QuotaDecision,
    QuotaRequest,
    Reach,
    Verdict,
    decide,
)
from meter_agent.core.quota.lease import Lease
from meter_agent.core.quota.reservation import Content, Reservation
from meter_agent.core.quota.settle import hold_all
from meter_agent.core.quota.terms import CustomerTerms, LimitTerms, Quantities, terms_of_extension
from meter_agent.quota.answers import Answer, Denied, Granted, Passed, Question
from meter_agent.quota.book import QuotaBook
from meter_agent.quota.demands import Demands
from meter_agent.quota.figures import QuotaFigures, limit_name
from meter_agent.quota.lowered import LoweredLimits
from metering.errors import AlreadyExistsError
from metering.limits import OfflinePolicy

NO_TERMS: Final = Denial("", DenialReason.SERVER_AWAY, 0)
"""Refuses a customer whose limits were never heard, while the server cannot be asked."""


@dataclass(frozen=True, slots=True)
class Counter:
    """What decisions look at and count in."""

    book: QuotaBook
    """What is known."""
    demands: Demands
    """How much is asked for."""
    figures: QuotaFigures
    """What was decided."""
    has_server: bool = True
    """Whether there is a server at all; without one there are no limits."""
    lowered: LoweredLimits = field(default_factory=LoweredLimits)
    """Limits that were lowered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """What a reservation asks for."""

    reservation_id: str
    """As its caller made it."""
    request: QuotaRequest
    """What its call may use at most."""
    content: Content
    """The same in canonical form."""
    ttl_us: int
    """How long the hold stands without a renewal, microseconds."""
    caller: str = ""
    """Who asks; for people."""
    attempt: int = 0
    """How often the server was asked for it by now: its demand counts once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend:
    """What an extension asks for."""

    reservation_id: str
    """The reservation."""
    request_id: str
    """Of this extension; may be empty."""
    quantities: Quantities
    """What to add; empty: it renews only."""
    minimum_quantities: Quantities = field(default_factory=dict)
    """Less than this is a denial."""
    content: Content
    """The same in canonical form."""
    ttl_us: int | None = None
    """How long the hold stands from now, microseconds; None: as before."""
    used_so_far: Mapping[str, str] = field(default_factory=dict)
    """What the call has used."""
    attempt: int = 0
    """As in `Reserve`."""


def reserve(asked: Reserve, *, counter: Counter, reach: Reach) -> Answer:
    """Decides a reservation and holds what it takes.

    Args:
        asked: What is asked for.
        counter: What is known.
        reach: What is known of the server.

    Raises:
        AlreadyExistsError: RESERVATION_ID_REUSED.
        InvalidStateError: RESERVATION_ENDED: the id's reservation has ended.
    """
    book = counter.book
    found = book.reservation(asked.reservation_id)
    if found is not None and found.customer_id != asked.request.customer_id:
        raise _of_another_customer(asked.reservation_id)
    known = core.repeated_reserve(found, content=asked.content)
    if known is not None:
        is_partial = any(
            known.granted.get(name) != value for name, value in asked.request.quantities.items()
        )
        return Granted(known, is_partial)
    terms = _terms(asked.request.customer_id, counter=counter, reach=reach)
    if not isinstance(terms, CustomerTerms):
        return terms
    decision = _decide(asked.request, terms=terms, counter=counter, reach=reach)
    if asked.attempt == 0:
        _count(asked.request.customer_id, decision, counter=counter)
    if decision.verdict in {Verdict.ASK, Verdict.DENIED}:
        return _not_granted(decision, terms=terms, counter=counter)
    clock, now_us = book.clock, book.clock.now_us()
    made = Reservation(
        customer_id=asked.request.customer_id,
        reservation_id=asked.reservation_id,
        content=asked.content,
        granted=decision.granted,
        takes=decision.takes,
        ttl_us=asked.ttl_us,
        boot_id=clock.boot_id,
        reserved_at_us=now_us,
        expires_at_us=now_us + asked.ttl_us,
        reserve_time_us=clock.wall_us(),
        caller=asked.caller,
    )
    return _hold(made, decision, terms=terms, counter=counter)


def extend(asked: Extend, *, counter: Counter, reach: Reach) -> Answer:
    """Decides an extension, holds what it adds, and renews the reservation.

    A refusal leaves the reservation as it was.

    Args:
        asked: What is asked for.
        counter: What is known.
        reach: What is known of the server.

    Raises:
        NotFoundError: RESERVATION_UNKNOWN.
        InvalidStateError: RESERVATION_ENDED.
        AlreadyExistsError: EXTENSION_ID_REUSED.
    """
    book = counter.book
    found = core.held_for_extension(
        book.reservation(asked.reservation_id), reservation_id=asked.reservation_id
    )
    if core.is_repeated_extension(found, request_id=asked.request_id, content=asked.content):
        return Granted(found, is_partial=False)
    decision = QuotaDecision(verdict=Verdict.GRANTED)
    terms = book.terms_of(found.customer_id) or CustomerTerms(customer_id=found.customer_id)
    if asked.quantities:
        request = QuotaRequest(
            customer_id=found.customer_id,
            dimensions=dict(found.content.dimensions),
            quantities=asked.quantities,
            minimum_quantities=asked.minimum_quantities,
        )
        rest = terms_of_extension(
            terms,
            held_keys={take.limit_key for take in found.takes},
            quantities=found.granted,
        )
        decision = _decide(request, terms=rest, counter=counter, reach=reach)
        if asked.attempt == 0:
            _count(found.customer_id, decision, counter=counter)
    if decision.verdict in {Verdict.ASK, Verdict.DENIED}:
        return _not_granted(decision, terms=terms, counter=counter)
    more = core.extended(
        found,
        granted=decision.granted,
        takes=decision.takes,
        request_id=asked.request_id,
        content=asked.content,
    )
    renewed = core.renewed(
        more,
        now_us=book.clock.now_us(),
        ttl_us=found.ttl_us if asked.ttl_us is None else asked.ttl_us,
        used_so_far=asked.used_so_far,
    )
    return _hold(renewed, decision, terms=terms, counter=counter)


def check(request: QuotaRequest, *, counter: Counter, reach: Reach) -> QuotaDecision | None:
    """Decides what a reservation would be answered, and changes nothing; None: terms are unknown.

    Any thread may ask.
    """
    terms = counter.book.terms_of(request.customer_id)
    if terms is None:
        if counter.has_server:
            return None
        terms = CustomerTerms(customer_id=request.customer_id)
    return decide(
        request,
        terms=terms,
        leases=counter.book.leases_of(request.customer_id),
        reach=reach,
        now_us=counter.book.clock.now_us(),
        ahead=counter.book.ahead_of(request.customer_id, request.quantities),
    )


def passed_of(denial: Denial, *, terms: CustomerTerms | None) -> Passed:
    """Returns a denial with the terms of its limit."""
    return Passed(denial, None if terms is None else terms.limit(denial.limit_key))


def _terms(customer_id: str, *, counter: Counter, reach: Reach) -> CustomerTerms | Answer:
    terms = counter.book.terms_of(customer_id)
    if terms is not None:
        return terms
    if not counter.has_server:
        return CustomerTerms(customer_id=customer_id)
    if reach is Reach.ASKABLE:
        return Question(())
    counter.figures.denied(NO_TERMS, terms=None)
    return Denied(Passed(NO_TERMS, None))


def _decide(
    request: QuotaRequest, *, terms: CustomerTerms, counter: Counter, reach: Reach
) -> QuotaDecision:
    book, now_us = counter.book, counter.book.clock.now_us()
    if reach is Reach.AWAY:
        _allow_offline(terms, book=book)
    return decide(
        request,
        terms=terms,
        leases=book.leases_of(request.customer_id),
        reach=reach,
        now_us=now_us,
        ahead=book.ahead_of(request.customer_id, request.quantities),
    )


def _count(customer_id: str, decision: QuotaDecision, *, counter: Counter) -> None:
    now_us = counter.book.clock.now_us()
    counter.demands.decided(customer_id, decision, now_us=now_us)


def _allow_offline(terms: CustomerTerms, *, book: QuotaBook) -> None:
    """Gives each limit with an allowance a lease of the agent's own, anew in each window.

    One that was changed within the window is heeded at once; what it let pass by then stands.
    """
    for limit in terms.limits:
        if limit.when_offline is not OfflinePolicy.ALLOWANCE:
            continue
        own = next(
            (
                lease
                for lease in book.leases_of(terms.customer_id)
                if lease.limit_key == limit.limit_key and lease.lease_id == OFFLINE_LEASE_ID
            ),
            None,
        )
        if own is None or own.window_id != limit.window_id:
            held = 0 if own is None else own.held
            now_us = book.clock.now_us()
            book.put_leases([_allowance(terms.customer_id, limit, held=held, now_us=now_us)])
            continue
        taken = own.consumed + own.held + own.returned
        granted = max(taken, own.carried + limit.allowance)
        if granted != own.granted:
            book.put_leases([replace(own, granted=granted)])


def _allowance(customer_id: str, limit: LimitTerms, *, held: int, now_us: int) -> Lease:
    return Lease(
        lease_id=OFFLINE_LEASE_ID,
        customer_id=customer_id,
        limit_key=limit.limit_key,
        window_id=limit.window_id,
        granted=limit.allowance + held,
        held=held,
        carried=held,
        usable_from_us=now_us,
    )


def _not_granted(decision: QuotaDecision, *, terms: CustomerTerms, counter: Counter) -> Answer:
    if decision.denial is None:
        return Question(decision.shortages)
    counter.figures.denied(decision.denial, terms=terms)
    counter.figures.decided[decision.verdict.value] += 1
    return Denied(passed_of(decision.denial, terms=terms))


def _hold(
    reservation: Reservation, decision: QuotaDecision, *, terms: CustomerTerms, counter: Counter
) -> Granted:
    book, figures = counter.book, counter.figures
    leases = book.leases_of(reservation.customer_id)
    now_us = book.clock.now_us()
    book.put_leases(hold_all(decision.takes, leases=leases, now_us=now_us))
    book.put_reservation(reservation)
    if decision.takes:
        counter.demands.look(book.leases_of(reservation.customer_id), now_us=now_us)
    figures.passed(decision.exceeded, terms=terms)
    figures.decided[decision.verdict.value] += 1
    for take in decision.takes:
        if take.lease_id == OFFLINE_LEASE_ID:
            figures.granted_offline[limit_name(take.limit_key, terms)] += take.amount
    return Granted(
        reservation,
        decision.verdict is Verdict.GRANTED_PARTIALLY,
        tuple(passed_of(denial, terms=terms) for denial in decision.exceeded),
    )


def _of_another_customer(reservation_id: str) -> AlreadyExistsError:
    return AlreadyExistsError(
        reason="RESERVATION_ID_REUSED",
        message=f"reservation_id {reservation_id!r} was used for another customer; make a new id "
        "for each call",
    )
