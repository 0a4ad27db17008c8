"""Limits as people see them: what is used, reserved, leased where, presumed, and left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billing_server.domain.catalog.limit import Limit
from billing_server.domain.limit.escrow import Bound, Escrow, escrow_of
from billing_server.domain.limit.in_force import CustomerLimits, LimitInForce
from billing_server.domain.limit.lease import Lease, LeaseState
from billing_server.domain.limit.spans import LimitSpan
from billing_server.domain.ports.agents import Agent
from billing_server.domain.ports.limits import LimitAccount, ThresholdEvent
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.services.context import ServiceContext
from billing_server.services.lease_windows import customer_limits
from billing_server.services.limit_accounts import maximum_of, settled_in, window_at
from billing_server.services.limit_book import LimitBook
from billing_server.services.list_customers import customer_not_found
from billing_server.services.pages import Page, PageRequest, page_from
from metering.errors import ValidationError
from metering.limits import LimitKind, OfflinePolicy


@dataclass(frozen=True, slots=True)
class HeldShare:
    """A lease with the agent that holds it."""

    agent_name: str
    """Of the agent or of its further disk; empty where it is unknown."""
    lease: Lease
    """The lease."""


@dataclass(frozen=True, slots=True)
class LimitView:
    """A limit of a customer as it stands. Amounts are in the limit's smallest unit."""

    limit: LimitInForce
    """The limit."""
    span: LimitSpan
    """Its window."""
    maximum: int
    """B, the limit in force."""
    escrow: Escrow
    """What is settled, leased out, unknown and presumed."""
    reserved: int
    """Held by reservations, as agents last told. >= 0."""
    left: int
    """What may still be granted. >= 0."""
    account: LimitAccount
    """With what went beyond leases and estimates."""
    shares: tuple[HeldShare, ...]
    """Leases that are not closed, by agent."""

    @property
    def bound(self) -> Bound:
        """What actual use may come to at most, allowances counted for each agent with a lease."""
        limit, definition = self.limit, self.limit.limit
        allowance = 0
        if definition.when_offline is OfflinePolicy.ALLOWANCE:
            agents = {share.lease.agent_ref for share in self.shares}
            allowance = limit.scaled(definition.allowance) * len(agents)
        return Bound(
            maximum=max(self.account.maximum_granted, self.maximum),
            unknown_max=limit.scaled(definition.reclaim_max),
            overrun=self.account.overrun + self.account.estimate_error,
            offline_allowance=allowance,
            unreserved=self.account.unreserved,
            released=self.account.released,
        )


def show_limits(context: ServiceContext, *, customer_id: str) -> tuple[LimitView, ...]:
    """Show the limits of a customer as they stand now, by key.

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND.
    """
    now = context.clock.now()
    with context.store.read() as unit:
        limits = customer_limits(unit, book=LimitBook(), customer_ids=[customer_id], now=now)
        found = limits.get(customer_id)
        if found is None:
            raise customer_not_found(customer_id)
        return _views(unit, context=context, limits=found)


def list_threshold_events(
    context: ServiceContext, *, customer_id: str | None, page: PageRequest
) -> Page[ThresholdEvent]:
    """List thresholds that were passed, in the order in which it was seen.

    Raises:
        ValidationError: CURSOR_MALFORMED.
    """
    after = page.after
    if after is not None and not after.isdecimal():
        raise ValidationError(
            reason="CURSOR_MALFORMED",
            message="cursor is not one that this list has given; start again without it",
        )
    with context.store.read() as unit:
        found = unit.limits.threshold_events(
            customer_id=customer_id, after=int(after or 0), limit=page.limit + 1
        )
    return page_from(found, request=page, key=lambda event: str(event.event_no))


def list_plan_limits(context: ServiceContext) -> tuple[tuple[str, Limit], ...]:
    """List the limits of the newest version of every plan, with the key of the plan."""
    with context.store.read() as unit:
        plans = unit.catalog.latest_plans()
    return tuple((plan.key, limit) for plan in plans for limit in plan.limits)


def _views(
    unit: UnitOfWork, *, context: ServiceContext, limits: CustomerLimits
) -> tuple[LimitView, ...]:
    now = context.clock.now()
    windows = [window_at(limit, at=now) for limit in limits.limits]
    keys = {window.key for window in windows}
    accounts = unit.limits.find_accounts(keys)
    leases = unit.leases.of_windows(keys)
    holders = unit.agents.by_refs({lease.agent_ref for lease in leases})
    views = []
    for window in windows:
        limit = window.limit
        account = accounts.get(window.key) or LimitAccount(
            key=window.key, start=window.span.start, end=window.span.end
        )
        of_window = [lease for lease in leases if lease.key == window.key]
        settled = settled_in(unit, limit=limit, account=account, now=now)
        maximum = maximum_of(unit, limit=limit)
        escrow = escrow_of(settled, leases=of_window)
        views.append(
            LimitView(
                limit=limit,
                span=window.span,
                maximum=maximum,
                escrow=escrow,
                # What was settled since the agent told is no longer held.
                reserved=sum(min(lease.held, lease.rest) for lease in of_window),
                left=_left(limit, escrow=escrow, maximum=maximum, leases=of_window),
                account=account,
                shares=_shares(of_window, holders=holders),
            )
        )
    return tuple(views)


def _left(limit: LimitInForce, *, escrow: Escrow, maximum: int, leases: Sequence[Lease]) -> int:
    if limit.kind is LimitKind.RATE:
        shared = sum(each.rate_per_minute for each in leases if each.state is LeaseState.LIVE)
        return max(0, maximum - shared)
    return escrow.left(maximum=maximum, unknown_max=limit.scaled(limit.limit.reclaim_max))


def _shares(leases: Sequence[Lease], *, holders: Mapping[int, Agent]) -> tuple[HeldShare, ...]:
    shares = []
    for lease in leases:
        holder = holders.get(lease.agent_ref)
        shares.append(HeldShare("" if holder is None else holder.name, lease))
    return tuple(sorted(shares, key=lambda each: (each.agent_name, each.lease.lease_id)))
