"""What is shown of quota, by limit key: sums over customers, who are never told apart."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from meter_agent.core.quota.decide import OFFLINE_LEASE_ID
from meter_agent.core.quota.lease import Lease
from meter_agent.core.quota.reservation import ReservationState
from meter_agent.core.quota.terms import LimitTerms
from meter_agent.quota.reserving import Counter


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitView:
    """What is held and was decided of the limits of one key, in their smallest unit."""

    limit_key: str
    """Of the limits."""
    decimals: int = 0
    """Fraction digits of the amounts."""
    when_offline: str = ""
    """closed, allowance or open; empty where no terms are known any more."""
    enforcement: str = ""
    """hard, soft or shadow; empty as above."""
    customer_count: int = 0
    """Customers of whom terms are known. >= 0."""
    granted: int = 0
    """Granted to open leases and not returned."""
    consumed: int = 0
    """Of that, consumed."""
    held: int = 0
    """Of that, held by reservations."""
    granted_offline: int = 0
    """Granted from the agent's own allowance, since the process started."""
    refused_count: int = 0
    """Calls refused since the process started."""
    exceeded_count: int = 0
    """Calls granted although the limit was passed, since the process started."""
    uncovered: int = 0
    """Usage without a reservation that no lease bore, since the process started."""
    overrun: int = 0
    """Usage beyond what was reserved that no lease bore, since the process started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaView:
    """Quota at one moment."""

    limits: tuple[LimitView, ...] = ()
    """In the order of their keys."""
    lease_count: int = 0
    """Leases on record that are not closed."""
    held_count: int = 0
    """Reservations that are held."""
    expired_count: int = 0
    """Reservations that expired and whose hold is presumed used."""
    unsettled_count: int = 0
    """Reservations on the list of the unsettled: those, and those whose hold went back."""
    refused: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Calls refused since the process started, by limit key and reason."""
    decided: Mapping[str, int] = field(default_factory=dict)
    """Answers since the process started, by decision."""
    ended: Mapping[str, int] = field(default_factory=dict)
    """Reservations ended since the process started, by kind."""
    expired_total: int = 0
    """Reservations that expired since the process started."""
    billed_on_expiry_total: int = 0
    """Of these, those billed on a guess because their limit says so."""


def view_of(counter: Counter) -> QuotaView:
    """Returns quota as it is now. Any thread may ask; nothing waits for the disk."""
    book, figures = counter.book, counter.figures
    leases = book.all_leases()
    reservations = book.all_reservations()
    expired = sum(item.state is ReservationState.EXPIRED for item in reservations)
    return QuotaView(
        limits=_limits(counter, leases),
        lease_count=sum(not lease.is_closed for lease in leases),
        held_count=len(reservations) - expired,
        expired_count=expired,
        unsettled_count=expired + book.unsettled_count,
        refused=dict(figures.refused),
        decided=dict(figures.decided),
        ended=dict(figures.ended),
        expired_total=figures.expired_count,
        billed_on_expiry_total=figures.billed_on_expiry_count,
    )


def _limits(counter: Counter, leases: list[Lease]) -> tuple[LimitView, ...]:
    figures = counter.figures
    terms: dict[str, LimitTerms] = {}
    customers: dict[str, int] = defaultdict(int)
    for known in counter.book.all_terms():
        for limit in known.limits:
            terms[limit.limit_key] = limit
            customers[limit.limit_key] += 1
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for lease in leases:
        if not lease.is_closed and lease.lease_id != OFFLINE_LEASE_ID:
            total = sums[lease.limit_key]
            total[0] += lease.granted - lease.returned
            total[1] += lease.consumed
            total[2] += lease.held
    refused: dict[str, int] = defaultdict(int)
    for (limit_key, _), count in list(figures.refused.items()):
        refused[limit_key] += count
    keys = sorted({*terms, *sums, *refused} - {""})
    return tuple(
        _limit(key, terms.get(key), customers[key], sums[key], refused[key], counter)
        for key in keys
    )


def _limit(
    key: str,
    terms: LimitTerms | None,
    customer_count: int,
    sums: list[int],
    refused_count: int,
    counter: Counter,
) -> LimitView:
    figures = counter.figures
    granted, consumed, held = sums
    return LimitView(
        limit_key=key,
        decimals=0 if terms is None else terms.decimals,
        when_offline="" if terms is None else terms.when_offline.value,
        enforcement="" if terms is None else terms.enforcement.value,
        customer_count=customer_count,
        granted=granted,
        consumed=consumed,
        held=held,
        granted_offline=figures.granted_offline[key],
        refused_count=refused_count,
        exceeded_count=figures.exceeded[key],
        uncovered=figures.uncovered[key],
        overrun=figures.overrun[key],
    )
