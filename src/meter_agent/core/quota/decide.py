"""Whether a call may be made: all limits of a customer, all or nothing, in the order of their keys.

A decision names what to take from which lease and changes nothing: the caller applies it, with
`lease.hold`, in one transaction with the reservation's row. Where leases are short and the server
may still be asked, the answer is `ASK` with what is missing, so that no refusal rests on what is
idle elsewhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from meter_agent.core.quota.lease import Lease, available, refilled_after_us
from meter_agent.core.quota.terms import (
    CustomerTerms,
    LimitTerms,
    Quantities,
    amount_of,
    is_limited,
)
from metering.limits import Enforcement, LimitKind, OfflinePolicy

OFFLINE_LEASE_ID = b""
"""Id of an allowance of the agent's own: a lease that no event names."""


class Reach(Enum):
    """What the agent knows of the server when it decides."""

    ASKABLE = "askable"
    """It can be asked before anything is refused."""
    ANSWERED = "answered"
    """It has just said no, or what there is: the decision is final."""
    AWAY = "away"
    """It does not answer: each limit's offline policy holds."""


class Verdict(Enum):
    """What becomes of a call."""

    GRANTED = "granted"
    """All that was asked for."""
    GRANTED_PARTIALLY = "granted_partially"
    """Less than asked for, and at least the minimum."""
    DENIED = "denied"
    """Nothing."""
    ASK = "ask"
    """Not decided: the server is to be asked for what is short."""


class DenialReason(Enum):
    """Why a limit refuses, or would."""

    LIMIT_REACHED = "LIMIT_REACHED"
    """Less is left than the call may need."""
    SERVER_AWAY = "SERVER_AWAY"
    """The leases are used up and the server cannot be asked."""
    PRICE_NOT_ESTIMABLE = "PRICE_NOT_ESTIMABLE"
    """What the call may cost has no bound, and money is limited."""
    CUSTOMER_UNKNOWN = "CUSTOMER_UNKNOWN"
    """The server knows no such customer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaRequest:
    """What a call may use at most."""

    customer_id: str
    """Whose quota."""
    dimensions: Mapping[str, str] = field(default_factory=dict)
    """As of its usage event."""
    quantities: Quantities
    """The most that it may use."""
    minimum_quantities: Quantities = field(default_factory=dict)
    """Less is a denial; only what stands here may be shrunk. Names stand in `quantities` too."""


@dataclass(frozen=True, slots=True)
class Take:
    """What is to be taken from one lease."""

    limit_key: str
    """Of the lease."""
    lease_id: bytes
    """16 bytes; empty: the agent's offline allowance."""
    amount: int
    """In the limit's smallest unit, >= 1."""


@dataclass(frozen=True, slots=True)
class Denial:
    """A limit that refuses, or is passed without refusing."""

    limit_key: str
    """Of the limit; empty where the customer is unknown."""
    reason: DenialReason
    """Why."""
    remaining: int
    """What may still be taken here, in the limit's smallest unit, >= 0."""
    enough_after_us: int | None = None
    """How long until the bucket of this agent's share has what would do, microseconds, >= 0; None:
    not a rate, or no share that will ever have it."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """What the leases of one limit lack for a call."""

    limit_key: str
    """Of the limit."""
    wanted: int
    """What the call takes of the limit in all, in its smallest unit, >= 1."""
    wanted_min: int
    """The least that would do, 1..wanted, or 0 where the limit never refuses."""
    missing: int
    """`wanted` less what the leases have, >= 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaDecision:
    """What to answer, and what to take for it."""

    verdict: Verdict
    """What becomes of the call."""
    granted: Quantities = field(default_factory=dict)
    """What it may use; empty unless granted."""
    takes: tuple[Take, ...] = ()
    """In the order of limit keys; empty unless granted."""
    denial: Denial | None = None
    """The first limit that refuses; None unless denied."""
    exceeded: tuple[Denial, ...] = ()
    """Limits that are passed and do not refuse: soft, shadow, or open offline."""
    shortages: tuple[Shortage, ...] = ()
    """What to ask the server for; empty unless `ASK`."""


def decide(
    request: QuotaRequest,
    *,
    terms: CustomerTerms,
    leases: Sequence[Lease],
    reach: Reach,
    now_us: int,
    ahead: Quantities | None = None,
) -> QuotaDecision:
    """Returns what to answer to a reservation, an extension or a check.

    A customer without limits, and a meter without one, are granted whole and nothing is taken.

    Args:
        request: What is asked for; for an extension, what is to be added.
        terms: The customer's limits.
        leases: Of this customer, of any limit, allowances of the agent's own included.
        reach: What is known of the server.
        now_us: Clock of leases.
        ahead: As in `amount_of`.
    """
    if terms.is_unknown:
        if reach is Reach.ASKABLE:
            return QuotaDecision(verdict=Verdict.ASK)
        return _denied(Denial("", DenialReason.CUSTOMER_UNKNOWN, 0))
    caps = _caps(request, terms=terms, leases=leases, reach=reach, now_us=now_us)
    quantities = request.quantities
    passed = _passed(caps, request=request, quantities=quantities, ahead=ahead)
    if reach is Reach.ASKABLE:
        shortages = _shortages(passed, request=request, ahead=ahead)
        if shortages:
            return QuotaDecision(verdict=Verdict.ASK, shortages=shortages)
    verdict = Verdict.GRANTED
    if any(cap.refuses for cap in passed):
        quantities = _shrunk(caps, request=request, ahead=ahead)
        refusing = _passed(caps, request=request, quantities=quantities, ahead=ahead)
        for cap in refusing:
            if cap.refuses:
                return _denied(cap.denial(request, ahead=ahead, now_us=now_us))
        verdict = Verdict.GRANTED_PARTIALLY
    takes = [
        take
        for cap in caps
        for take in cap.takes(request, quantities=quantities, ahead=ahead, now_us=now_us)
    ]
    exceeded = _passed(caps, request=request, quantities=quantities, ahead=ahead)
    return QuotaDecision(
        verdict=verdict,
        granted=quantities,
        takes=tuple(takes),
        exceeded=tuple(cap.denial(request, ahead=ahead, now_us=now_us) for cap in exceeded),
    )


@dataclass(frozen=True, slots=True)
class _Cap:
    """One limit that holds for a call, with what may be taken of it here."""

    limit: LimitTerms
    leases: tuple[Lease, ...]
    """Usable ones, those that end first in front."""
    available: int
    reach: Reach

    @property
    def refuses(self) -> bool:
        """Whether a call that passes it is refused."""
        is_open = self.reach is Reach.AWAY and self.limit.when_offline is OfflinePolicy.OPEN
        return self.limit.enforcement is Enforcement.HARD and not is_open

    def amount(
        self, request: QuotaRequest, *, quantities: Quantities, ahead: Quantities | None
    ) -> int | None:
        return amount_of(
            self.limit, dimensions=request.dimensions, quantities=quantities, ahead=ahead
        )

    def denial(self, request: QuotaRequest, *, ahead: Quantities | None, now_us: int) -> Denial:
        if self.amount(request, quantities=request.quantities, ahead=ahead) is None:
            reason = DenialReason.PRICE_NOT_ESTIMABLE
        elif self.reach is Reach.AWAY:
            reason = DenialReason.SERVER_AWAY
        else:
            reason = DenialReason.LIMIT_REACHED
        enough_after_us = None
        if self.limit.kind is LimitKind.RATE and self.leases:
            least = {**request.quantities, **request.minimum_quantities}
            amount = self.amount(request, quantities=least, ahead=ahead) or 0
            enough_after_us = refilled_after_us(self.leases[0], amount=amount, now_us=now_us)
        return Denial(self.limit.limit_key, reason, self.available, enough_after_us)

    def takes(
        self,
        request: QuotaRequest,
        *,
        quantities: Quantities,
        ahead: Quantities | None,
        now_us: int,
    ) -> Iterable[Take]:
        rest = self.amount(request, quantities=quantities, ahead=ahead) or 0
        for lease in self.leases:
            amount = min(rest, available(lease, now_us=now_us))
            if amount:
                rest -= amount
                yield Take(self.limit.limit_key, lease.lease_id, amount)


def _caps(
    request: QuotaRequest,
    *,
    terms: CustomerTerms,
    leases: Sequence[Lease],
    reach: Reach,
    now_us: int,
) -> list[_Cap]:
    caps = []
    for limit in sorted(terms.limits, key=lambda limit: limit.limit_key):
        if not is_limited(limit, dimensions=request.dimensions, quantities=request.quantities):
            continue
        usable = _usable(leases, limit=limit, reach=reach, now_us=now_us)
        total = sum(available(lease, now_us=now_us) for lease in usable)
        caps.append(_Cap(limit, usable, total, reach))
    return caps


def _usable(
    leases: Sequence[Lease], *, limit: LimitTerms, reach: Reach, now_us: int
) -> tuple[Lease, ...]:
    may_use_allowance = reach is Reach.AWAY and limit.when_offline is OfflinePolicy.ALLOWANCE
    found = [
        lease
        for lease in leases
        if lease.limit_key == limit.limit_key
        and lease.is_usable(now_us)
        and (lease.lease_id != OFFLINE_LEASE_ID or may_use_allowance)
    ]
    if limit.kind is LimitKind.RATE:
        # One bucket is never drawn on across shares: a call fits one of them or none.
        found.sort(key=lambda lease: (-available(lease, now_us=now_us), -lease.rate_per_minute))
        return tuple(found[:1])
    return tuple(sorted(found, key=_spending_order))


def _spending_order(lease: Lease) -> tuple[int, int, bytes]:
    is_own = int(lease.lease_id == OFFLINE_LEASE_ID)
    ends = lease.usable_until_us
    return (is_own, 2**63 if ends is None else ends, lease.lease_id)


def _passed(
    caps: Iterable[_Cap],
    *,
    request: QuotaRequest,
    quantities: Quantities,
    ahead: Quantities | None,
) -> list[_Cap]:
    """Returns the limits that the quantities pass, in the order of their keys."""
    passed = []
    for cap in caps:
        amount = cap.amount(request, quantities=quantities, ahead=ahead)
        if amount is None or amount > cap.available:
            passed.append(cap)
    return passed


def _shortages(
    passed: Iterable[_Cap], *, request: QuotaRequest, ahead: Quantities | None
) -> tuple[Shortage, ...]:
    """Returns what to ask for; a shadow limit never makes a call wait."""
    least = {**request.quantities, **request.minimum_quantities}
    shortages = []
    for cap in passed:
        wanted = cap.amount(request, quantities=request.quantities, ahead=ahead)
        if wanted is None or cap.limit.enforcement is Enforcement.SHADOW:
            continue
        wanted_min = cap.amount(request, quantities=least, ahead=ahead) or 0
        shortages.append(
            Shortage(
                cap.limit.limit_key,
                wanted,
                wanted_min if cap.refuses else 0,
                wanted - cap.available,
            )
        )
    return tuple(shortages)


def _shrunk(caps: Sequence[_Cap], *, request: QuotaRequest, ahead: Quantities | None) -> Quantities:
    """Returns the quantities shrunk until all refusing limits hold, or all at their minimum.

    Quantities shrink in the order of their names, each no further than is needed.
    """
    refusing = [cap for cap in caps if cap.refuses]
    current = dict(request.quantities)
    for name in sorted(request.minimum_quantities):
        least, most = request.minimum_quantities[name], request.quantities[name]
        unit = _unit(least, most)
        low, high = int(least / unit), int(most / unit)
        if _fits(refusing, request, {**current, name: least}, ahead):
            while low < high:
                middle = (low + high + 1) // 2
                if _fits(refusing, request, {**current, name: middle * unit}, ahead):
                    low = middle
                else:
                    high = middle - 1
            current[name] = low * unit
            break
        current[name] = least
    return current


def _unit(*values: Decimal) -> Decimal:
    """Returns the smallest place in which the caller wrote any of the values."""
    exponents = [value.as_tuple().exponent for value in values]
    return Decimal(1).scaleb(min(0, *(int(exponent) for exponent in exponents)))


def _fits(
    caps: Sequence[_Cap],
    request: QuotaRequest,
    quantities: Quantities,
    ahead: Quantities | None,
) -> bool:
    return not _passed(caps, request=request, quantities=quantities, ahead=ahead)


def _denied(denial: Denial) -> QuotaDecision:
    return QuotaDecision(verdict=Verdict.DENIED, denial=denial)
