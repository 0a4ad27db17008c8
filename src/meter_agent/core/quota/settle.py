"""What usage takes from leases: settlements, releases, expiry, and usage without a reservation.

Whatever a lease cannot bear is recorded all the same and counted as uncovered: use beyond a
reservation (the bound's overrun) or without one. No function here ever refuses usage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from meter_agent.core.quota.decide import OFFLINE_LEASE_ID, Take
from meter_agent.core.quota.lease import (
    Lease,
    available,
    consume,
    consume_held,
    hold,
    unhold,
)
from meter_agent.core.quota.reservation import Reservation
from meter_agent.core.quota.terms import CustomerTerms, LimitTerms, Quantities, amount_of
from metering.limits import Enforcement, LimitKind, OfflinePolicy

DEBITED_KINDS = frozenset({LimitKind.UNITS, LimitKind.MONEY, LimitKind.ROLLING})
"""Kinds whose use adds up at the server: their events name the leases that they took from."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What is to be written with a usage event, in its transaction."""

    leases: tuple[Lease, ...] = ()
    """Those that changed, as they are to be."""
    debits: tuple[tuple[bytes, int], ...] = ()
    """Lease id and amount, for the event; in the order of limit keys."""
    allowances: Mapping[str, int] = field(default_factory=dict)
    """Limit key to what the agent's own offline allowance bore, > 0; no part of the debits."""
    uncovered: Mapping[str, int] = field(default_factory=dict)
    """Limit key to what no lease could bear, > 0."""


def settle(
    reservation: Reservation,
    *,
    terms: CustomerTerms,
    leases: Sequence[Lease],
    dimensions: Mapping[str, str],
    quantities: Quantities,
    now_us: int,
    ahead: Quantities | None = None,
) -> Effect:
    """Returns what ends a reservation with what was used, in time or late.

    What was held comes first; use beyond it takes what is free now; the rest is uncovered. What
    was held and not used comes back. Money is taken by where the customer stands now.

    Args:
        reservation: As it stands before.
        terms: The customer's limits, as they are now.
        leases: Of this customer, of any limit.
        dimensions: Of the usage.
        quantities: What was used; empty: nothing (a release).
        now_us: Clock of leases.
        ahead: As in `amount_of`, without what this reservation holds.
    """
    book = _Book(leases, now_us=now_us)
    is_foreseen = _is_foreseen(reservation, dimensions=dimensions, quantities=quantities)
    held_for_us = max(now_us - reservation.reserved_at_us, 0)
    for limit_key in sorted(
        {take.limit_key for take in reservation.takes} | {limit.limit_key for limit in terms.limits}
    ):
        limit = terms.limit(limit_key)
        cost = _cost(limit, dimensions=dimensions, quantities=quantities, ahead=ahead)
        takes = [take for take in reservation.takes if take.limit_key == limit_key]
        if limit is not None and limit.kind is LimitKind.CONCURRENCY:
            cost = 0
        if reservation.holds:
            if is_foreseen and takes and _holds_the_most(limit):
                cost = min(cost, sum(take.amount for take in takes))
            for take in takes:
                cost -= book.replace_hold(take, wanted=cost, held_for_us=held_for_us)
        elif limit is not None and limit.kind is LimitKind.RATE:
            cost = 0  # The bucket has paid when the call began.
        if limit is not None and cost:
            book.take(limit, amount=cost)
    return book.effect()


def debit_usage(
    *,
    terms: CustomerTerms,
    leases: Sequence[Lease],
    dimensions: Mapping[str, str],
    quantities: Quantities,
    now_us: int,
    ahead: Quantities | None = None,
) -> Effect:
    """Returns what usage without a reservation takes: what leases have, and the rest uncovered.

    Args:
        terms: The customer's limits.
        leases: Of this customer, of any limit.
        dimensions: Of the usage.
        quantities: What was used.
        now_us: Clock of leases.
        ahead: As in `amount_of`.
    """
    book = _Book(leases, now_us=now_us)
    for limit in terms.limits:
        cost = _cost(limit, dimensions=dimensions, quantities=quantities, ahead=ahead)
        if cost and limit.kind is not LimitKind.CONCURRENCY:
            book.take(limit, amount=cost)
    return book.effect()


def give_back(reservation: Reservation, *, leases: Sequence[Lease], now_us: int) -> Effect:
    """Returns what a hold that nobody ended, or that was settled elsewhere, gives back."""
    book = _Book(leases, now_us=now_us)
    held_for_us = max(now_us - reservation.reserved_at_us, 0)
    for take in reservation.takes if reservation.holds else ():
        book.replace_hold(take, wanted=0, held_for_us=held_for_us)
    return book.effect()


def give_back_at_expiry(
    reservation: Reservation, *, terms: CustomerTerms, leases: Sequence[Lease], now_us: int
) -> tuple[Effect, tuple[Take, ...]]:
    """Returns what comes back when a reservation expires, and what it goes on to hold.

    Slots and shares of a rate come back at once (their `t_late` is 0); amounts stay held, presumed
    used. What a bucket gave for the call stays used.
    """
    book = _Book(leases, now_us=now_us)
    kept = []
    for take in reservation.takes:
        limit = terms.limit(take.limit_key)
        if limit is not None and limit.kind is LimitKind.CONCURRENCY:
            book.replace_hold(take, wanted=0, held_for_us=0)
        elif limit is None or limit.kind is not LimitKind.RATE:
            kept.append(take)
    return book.effect(), tuple(kept)


def hold_all(takes: Sequence[Take], *, leases: Sequence[Lease], now_us: int) -> tuple[Lease, ...]:
    """Returns the leases that a decision changes, as they are to be."""
    book = _Book(leases, now_us=now_us)
    for take in takes:
        book.hold(take)
    return book.effect().leases


def _cost(
    limit: LimitTerms | None,
    *,
    dimensions: Mapping[str, str],
    quantities: Quantities,
    ahead: Quantities | None,
) -> int:
    if limit is None or not quantities:
        return 0
    return amount_of(limit, dimensions=dimensions, quantities=quantities, ahead=ahead) or 0


def _is_foreseen(
    reservation: Reservation, *, dimensions: Mapping[str, str], quantities: Quantities
) -> bool:
    """Tells whether a call was what was reserved, and used no more than was granted."""
    return dict(reservation.content.dimensions) == dict(dimensions) and all(
        value <= reservation.granted.get(name, Decimal(0)) for name, value in quantities.items()
    )


def _holds_the_most(limit: LimitTerms | None) -> bool:
    """Tells whether what is held under a limit is the most that its call can cost.

    What was reserved before the call was looked past when its hold was priced; what was reserved
    since comes behind it and has paid for that. Where a limit does not refuse, a hold may be only
    a part.
    """
    return (
        limit is not None
        and limit.kind is LimitKind.MONEY
        and limit.enforcement is Enforcement.HARD
        and limit.when_offline is not OfflinePolicy.OPEN
    )


class _Book:
    """Leases under change, and what an event owes them."""

    def __init__(self, leases: Sequence[Lease], *, now_us: int) -> None:
        self._before = {(lease.limit_key, lease.lease_id): lease for lease in leases}
        self._now = dict(self._before)
        self._now_us = now_us
        self._debits: dict[bytes, int] = {}
        self._allowances: dict[str, int] = {}
        self._uncovered: dict[str, int] = {}

    def hold(self, take: Take) -> None:
        key = (take.limit_key, take.lease_id)
        self._now[key] = hold(self._now[key], amount=take.amount, now_us=self._now_us)

    def replace_hold(self, take: Take, *, wanted: int, held_for_us: int) -> int:
        """Turns a hold into use of at most `wanted`, the rest coming back; returns what it bore."""
        key = (take.limit_key, take.lease_id)
        lease = self._now.get(key)
        if lease is None:
            return 0
        used = min(wanted, take.amount)
        rest = take.amount - used
        lease = consume_held(lease, held=used, used=used)
        lease = unhold(lease, amount=rest, held_for_us=held_for_us, now_us=self._now_us)
        self._now[key] = lease
        self._owe(lease, used)
        return used

    def take(self, limit: LimitTerms, *, amount: int) -> None:
        """Takes what usable leases of the limit have free; what is missing is uncovered."""
        for key, lease in sorted(self._now.items()):
            if key[0] != limit.limit_key or lease.lease_id == OFFLINE_LEASE_ID:
                continue
            part = min(amount, available(lease, now_us=self._now_us))
            if part:
                self._now[key] = consume(lease, amount=part, now_us=self._now_us)
                self._owe(lease, part)
                amount -= part
        if amount and limit.kind in DEBITED_KINDS:
            self._uncovered[limit.limit_key] = amount

    def effect(self) -> Effect:
        """Returns all that changed."""
        changed = [lease for key, lease in self._now.items() if self._before[key] != lease]
        return Effect(
            tuple(changed), tuple(self._debits.items()), self._allowances, self._uncovered
        )

    def _owe(self, lease: Lease, amount: int) -> None:
        if not amount or lease.is_share:
            return
        if lease.lease_id == OFFLINE_LEASE_ID:
            used = self._allowances.get(lease.limit_key, 0)
            self._allowances[lease.limit_key] = used + amount
        else:
            self._debits[lease.lease_id] = self._debits.get(lease.lease_id, 0) + amount
