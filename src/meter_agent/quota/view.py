"""What is shown of quota by limit: sums over customers whose limits of a key count the same.

The few that use most of what they hold are told apart, in the status and never in metrics.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import nlargest
from typing import Final

from meter_agent.core.quota.decide import OFFLINE_LEASE_ID
from meter_agent.core.quota.lease import Lease
from meter_agent.core.quota.reservation import ReservationState
from meter_agent.quota.figures import LimitName, QuotaFigures, limit_name
from meter_agent.quota.reserving import Counter

BUSIEST_COUNT_MAX: Final = 5
"""Customers of a limit that are told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerShare:
    """What is held of a limit for one customer, in its smallest unit."""

    customer_id: str
    """Whose."""
    granted: int
    """Granted to open leases and not returned."""
    consumed: int
    """Of that, consumed."""
    held: int
    """Of that, held by reservations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitView:
    """What is held and was decided of limits of one key that count the same.

    Amounts are in their smallest unit.
    """

    limit_key: str
    """Of the limits."""
    unit: str = ""
    """A quantity's name, a currency, or "calls"; empty where no terms are known."""
    decimals: int = 0
    """Fraction digits of the amounts."""
    when_offline: str = ""
    """closed, allowance or open, several where customers differ; empty where no terms are known
    any more."""
    enforcement: str = ""
    """hard, soft or shadow, likewise."""
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
    busiest: tuple[CustomerShare, ...] = ()
    """Customers that use most of what they hold, the most first; a bounded number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaView:
    """Quota at one moment."""

    limits: tuple[LimitView, ...] = ()
    """In the order of their keys and units."""
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
        refused=_refused(figures),
        decided=dict(figures.decided),
        ended=dict(figures.ended),
        expired_total=figures.expired_count,
        billed_on_expiry_total=figures.billed_on_expiry_count,
    )


def _refused(figures: QuotaFigures) -> dict[tuple[str, str], int]:
    refused: dict[tuple[str, str], int] = defaultdict(int)
    for (name, reason), count in list(figures.refused.items()):
        refused[name.limit_key, reason] += count
    return dict(refused)


def _limits(counter: Counter, leases: list[Lease]) -> tuple[LimitView, ...]:
    terms = {known.customer_id: known for known in counter.book.all_terms()}
    sums: dict[LimitName, _Sum] = defaultdict(_Sum)
    for known in terms.values():
        for limit in known.limits:
            found = sums[limit_name(limit.limit_key, known)]
            found.customer_count += 1
            found.enforcements.add(limit.enforcement.value)
            found.offline_policies.add(limit.when_offline.value)
    for lease in leases:
        if not lease.is_closed and lease.lease_id != OFFLINE_LEASE_ID:
            name = limit_name(lease.limit_key, terms.get(lease.customer_id))
            sums[name].by_customer[lease.customer_id].append(lease)
    figures = counter.figures
    refused: dict[LimitName, int] = defaultdict(int)
    for (name, _), count in list(figures.refused.items()):
        refused[name] += count
    counted = (figures.exceeded, figures.uncovered, figures.overrun, figures.granted_offline)
    names = {*sums, *refused, *(name for each in counted for name in list(each))}
    return tuple(
        _limit(name, sums.get(name) or _Sum(), refused_count=refused[name], figures=figures)
        for name in sorted(names)
        if name.limit_key
    )


@dataclass(slots=True)
class _Sum:
    """What is known of the limits of one name."""

    customer_count: int = 0
    enforcements: set[str] = field(default_factory=set)
    offline_policies: set[str] = field(default_factory=set)
    by_customer: dict[str, list[Lease]] = field(default_factory=lambda: defaultdict(list))


def _limit(name: LimitName, found: _Sum, *, refused_count: int, figures: QuotaFigures) -> LimitView:
    shares = [_share(customer_id, leases) for customer_id, leases in found.by_customer.items()]
    return LimitView(
        limit_key=name.limit_key,
        unit=name.unit,
        decimals=name.decimals,
        when_offline=", ".join(sorted(found.offline_policies)),
        enforcement=", ".join(sorted(found.enforcements)),
        customer_count=found.customer_count,
        granted=sum(share.granted for share in shares),
        consumed=sum(share.consumed for share in shares),
        held=sum(share.held for share in shares),
        granted_offline=figures.granted_offline[name],
        refused_count=refused_count,
        exceeded_count=figures.exceeded[name],
        uncovered=figures.uncovered[name],
        overrun=figures.overrun[name],
        busiest=tuple(nlargest(BUSIEST_COUNT_MAX, shares, key=_busyness)),
    )


def _share(customer_id: str, leases: list[Lease]) -> CustomerShare:
    return CustomerShare(
        customer_id=customer_id,
        granted=sum(lease.granted - lease.returned for lease in leases),
        consumed=sum(lease.consumed for lease in leases),
        held=sum(lease.held for lease in leases),
    )


def _busyness(share: CustomerShare) -> tuple[Fraction, str]:
    return Fraction(share.consumed + share.held, max(share.granted, 1)), share.customer_id
