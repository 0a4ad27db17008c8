"""The limits of a customer as agents are told them, and when they are told anew."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from billing_server.domain.catalog.read_limit import limit_to_dict
from billing_server.domain.limit.escrow import escrow_of
from billing_server.domain.limit.in_force import CustomerLimits, LimitInForce
from billing_server.domain.limit.lease import Lease, WindowKey
from billing_server.domain.limit.price_bounds import PriceBound, price_bound
from billing_server.domain.limit.spans import LimitSpan
from billing_server.domain.ports.limits import LimitAccount, TermsWatch
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.rating.usage import usage_terms
from billing_server.domain.subscription.timeline import Timeline
from billing_server.domain.usage.instants import microseconds_from_instant
from billing_server.services.charge_slot import WHOLE_PRICE
from billing_server.services.limit_accounts import maximum_of, settled_in, window_at
from billing_server.services.limit_book import LimitBook, LimitSources
from metering.limits import MONEY_DECIMALS, LimitKind
from metering.period import Period
from metering.quantity import unscale_quantity

TERMS_AT_ONCE = 1_000
"""Customers whose terms are told in one answer."""


@dataclass(frozen=True, slots=True)
class ToldLimit:
    """A limit as an agent is told it."""

    limit: LimitInForce
    """The limit."""
    span: LimitSpan
    """Its window."""
    maximum: int
    """B, in the smallest unit."""
    remaining: int
    """What is left to grant, as advice. >= 0."""
    prices: tuple[PriceBound, ...] = ()
    """What usage can cost, for money."""


@dataclass(frozen=True, slots=True)
class ToldCustomer:
    """All limits of a customer as an agent is told them."""

    customer_id: str
    """Whose."""
    limits: tuple[ToldLimit, ...]
    """In the order of their keys."""
    is_unknown: bool
    """Whether there is no such customer."""
    valid_until: datetime | None
    """When a window ends or a subscription changes; None: it does not."""
    catalog_revision: int
    """Of the catalog that it was made from."""
    customer_revision: int
    """Of the customer; 0: there is none."""
    terms_revision: int = 0
    """Revision under which it is told; 0: not yet given one."""

    def with_revision(self, terms_revision: int) -> "ToldCustomer":
        """Returns the same, told under a revision."""
        return replace(self, terms_revision=terms_revision)

    @property
    def digest(self) -> str:
        """Digest of what an agent has to be told of: advice is left out."""
        content = [
            self.is_unknown,
            [
                [
                    limit_to_dict(each.limit.limit),
                    each.span.window_id,
                    each.maximum,
                    [
                        [bound.price.key, str(bound.steps[:1]), len(bound.steps)]
                        for bound in each.prices
                    ],
                ]
                for each in self.limits
            ],
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


class KeptTerms(NamedTuple):
    """What a disk was told of customers."""

    revisions: Mapping[str, int]
    """Customer to the revision under which it is told."""
    changed: frozenset[str]
    """Customers of whom it was told something else before."""
    first: frozenset[str]
    """Customers of whom it was told nothing before."""


def tell_terms(
    unit: UnitOfWork, *, book: LimitBook, customer_ids: Iterable[str], now: datetime
) -> dict[str, ToldCustomer]:
    """Returns the terms of customers as of now; holds nothing."""
    wanted = sorted(set(customer_ids))
    catalog_revision = unit.catalog.revision()
    revisions = unit.customers.revisions(wanted)
    sources: dict[str, LimitSources] = {}
    for customer_id, revision in revisions.items():
        found = book.sources(
            unit, catalog_revision=catalog_revision, customer_id=customer_id, revision=revision
        )
        if found is not None:
            sources[customer_id] = found
    limits = {customer_id: found.at(now) for customer_id, found in sources.items()}
    standing = _Standing(unit, limits=limits.values(), now=now)
    told: dict[str, ToldCustomer] = {}
    for customer_id in wanted:
        of_customer = limits.get(customer_id)
        entries = (
            ()
            if of_customer is None
            else tuple(
                standing.told(limit, sources=sources[customer_id]) for limit in of_customer.limits
            )
        )
        told[customer_id] = ToldCustomer(
            customer_id=customer_id,
            limits=entries,
            is_unknown=of_customer is None,
            valid_until=_valid_until(entries, limits=of_customer, now=now),
            catalog_revision=catalog_revision,
            customer_revision=revisions.get(customer_id, 0),
        )
    return told


def watch_terms(
    unit: UnitOfWork,
    *,
    agent_ref: int,
    told: Mapping[str, ToldCustomer],
    now: datetime,
) -> KeptTerms:
    """Keeps what a disk is told of customers, under a new revision where it has changed.

    Returns:
        What is kept of each customer.
    """
    known = unit.leases.watches(agent_ref, customer_ids=told)
    changed = {
        customer_id
        for customer_id, before in known.items()
        if before.terms_digest != told[customer_id].digest
    }
    first = told.keys() - known.keys()
    revisions = {customer_id: watch.terms_revision for customer_id, watch in known.items()}
    anew = sorted(changed | first)
    # Beyond all that the disk has heard, also where this server's clock is behind another one's.
    after = max(unit.leases.last_revision(agent_ref), microseconds_from_instant(now)) if anew else 0
    revisions |= {customer_id: after + number for number, customer_id in enumerate(anew, 1)}
    watches = []
    for customer_id, terms in sorted(told.items()):
        watches.append(
            TermsWatch(
                agent_ref=agent_ref,
                customer_id=customer_id,
                terms_revision=revisions[customer_id],
                terms_digest=terms.digest,
                catalog_revision=terms.catalog_revision,
                customer_revision=terms.customer_revision,
                valid_until=terms.valid_until,
            )
        )
    unit.leases.watch(watches)
    return KeptTerms(revisions, frozenset(changed), frozenset(first))


class _Standing:
    """Where the windows of many limits stand, read together."""

    def __init__(
        self, unit: UnitOfWork, *, limits: Iterable[CustomerLimits], now: datetime
    ) -> None:
        self._unit = unit
        self._now = now
        every = [limit for of_customer in limits for limit in of_customer.limits]
        keys = {window_at(limit, at=now).key for limit in every}
        self._accounts = unit.limits.find_accounts(keys)
        self._leases: dict[WindowKey, list[Lease]] = {}
        for lease in unit.leases.of_windows(keys):
            self._leases.setdefault(lease.key, []).append(lease)

    def told(self, limit: LimitInForce, *, sources: LimitSources) -> ToldLimit:
        """Returns a limit as it is told."""
        window = window_at(limit, at=self._now)
        account = self._accounts.get(window.key) or LimitAccount(
            key=window.key, start=window.span.start, end=window.span.end
        )
        leases = self._leases.get(window.key, [])
        maximum = maximum_of(self._unit, limit=limit)
        settled = settled_in(self._unit, limit=limit, account=account, now=self._now)
        escrow = escrow_of(settled, leases=leases)
        left = escrow.left(maximum=maximum, unknown_max=limit.scaled(limit.limit.reclaim_max))
        prices: tuple[PriceBound, ...] = ()
        if limit.kind is LimitKind.MONEY:
            # What silent agents hold was freed for others, and they may spend it all the same.
            buying = max(escrow.taken + escrow.unknown - settled, 0)
            outstanding = unscale_quantity(buying, decimals=MONEY_DECIMALS)
            prices = price_bounds(
                self._unit, sources=sources, outstanding=outstanding, now=self._now
            )
        return ToldLimit(
            limit=limit,
            span=window.span,
            maximum=maximum,
            remaining=left if limit.kind is not LimitKind.RATE else maximum,
            prices=prices,
        )


def price_bounds(
    unit: UnitOfWork, *, sources: LimitSources, outstanding: Decimal, now: datetime
) -> tuple[PriceBound, ...]:
    """Returns what usage of a customer can cost at most from where it stands.

    Args:
        unit: a transaction.
        sources: of the customer.
        outstanding: what everyone may still spend from leases, in major units.
        now: the time.
    """
    bounds: list[PriceBound] = []
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    ordered = sorted(
        sources.timelines, key=lambda each: (each.subscription.start, each.subscription.id)
    )
    for timeline in ordered:
        period = timeline.period_at(now)
        if period is None:
            continue
        used = _used_by_segment(unit, timeline=timeline, period=period)
        changes = any(period.contains(phase.start) for phase in timeline.phases[1:])
        # Most periods are one segment of every price: looked at once, not a price at a time.
        whole = None if changes else (0, timeline.share_of(period))
        for price in timeline.plan_at(now).usage_prices:
            meter = sources.meter(price.meter)
            segment = whole or _segment_at(timeline, price_key=price.key, period=period, at=now)
            match = (price.meter, tuple(sorted(price.where.items())))
            if meter is None or segment is None or match in seen:
                continue
            seen.add(match)
            index, share = segment
            quantity = unscale_quantity(used.get((price.key, index), 0), decimals=meter.decimals)
            # A segment that is shorter than its period includes less (R17).
            included = usage_terms(price, meter=meter, share=share).included
            bounds.append(
                price_bound(
                    replace(price, included=included),
                    meter=meter,
                    used=quantity,
                    outstanding=outstanding,
                )
            )
    return tuple(bounds)


def _segment_at(
    timeline: Timeline, *, price_key: str, period: Period, at: datetime
) -> tuple[int, Fraction] | None:
    segment = timeline.segment_at(price_key, period=period, at=at)
    return None if segment is None else (segment.index, segment.share)


def _used_by_segment(
    unit: UnitOfWork, *, timeline: Timeline, period: Period
) -> dict[tuple[str, int], int]:
    """Returns by price and segment what was used: tiers begin again in each segment (R17)."""
    charges = unit.usage.running_charges(
        timeline.subscription.id,
        customer_id=timeline.subscription.customer_id,
        period_start=period.start,
    )
    return {
        (charge.price_key, charge.segment): charge.quantity
        for charge in charges
        if charge.group_key == WHOLE_PRICE
    }


def _valid_until(
    entries: Sequence[ToldLimit], *, limits: CustomerLimits | None, now: datetime
) -> datetime | None:
    ends = [entry.span.end for entry in entries]
    if limits is not None:
        ends.append(limits.valid_until)
    for entry in entries:
        timeline = entry.limit.timeline
        if entry.prices and timeline is not None:
            # Tiers begin again with a billing period, also where it is not the limit's window.
            period = timeline.period_at(now)
            ends.append(None if period is None else period.end)
    return min((end for end in ends if end is not None), default=None)
