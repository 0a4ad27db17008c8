"""Limits as people see them: what is used, reserved, leased where, presumed, and left."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

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
from billing_server.services.not_found import customer_not_found
from billing_server.services.pages import Page, PageRequest, page_from
from metering.errors import ValidationError
from metering.limits import Enforcement, LimitKind, OfflinePolicy


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
    allowance_used: int
    """The part of what is settled that agents bore with their offline allowances. >= 0."""
    allowance_left: int
    """What the allowances of all agents that know of the limit may still bear. >= 0."""
    released_rest: int
    """What may still be used of leases that an operator released. >= 0."""

    @property
    def bound(self) -> Bound | None:
        """What use may come to at most as long as all of it is reserved; None: nothing bounds it.

        A limit that does not refuse bounds nothing, nor does one that is open while the server is
        away, nor slots of which nobody says how long a call may hold one.
        """
        limit, definition = self.limit, self.limit.limit
        is_approximate = limit.kind is LimitKind.CONCURRENCY and definition.max_hold is None
        is_open = definition.when_offline is OfflinePolicy.OPEN
        if definition.enforcement is not Enforcement.HARD or is_open or is_approximate:
            return None
        is_rate = limit.kind is LimitKind.RATE
        return Bound(
            # What shares of a rate hold is time, and no amount of a window.
            escrow=Escrow(0) if is_rate else self.escrow,
            maximum=self.maximum,
            unknown_max=limit.scaled(definition.reclaim_max),
            allowance_left=self.allowance_left,
            released=self.released_rest,
            burst=limit.scaled(definition.burst or Decimal(0)),
        )


def show_limits(context: ServiceContext, *, customer_id: str) -> tuple[LimitView, ...]:
    """Show the limits of a customer as they stand now, by key.

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND.
    """
    with context.store.read() as unit:
        return limits_of(unit, context=context, customer_id=customer_id)


def limits_of(
    unit: UnitOfWork, *, context: ServiceContext, customer_id: str
) -> tuple[LimitView, ...]:
    """Show the limits of a customer as a transaction sees them, by key.

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND.
    """
    now = context.clock.now()
    limits = customer_limits(unit, book=LimitBook(), customer_ids=[customer_id], now=now)
    found = limits.get(customer_id)
    if found is None:
        raise customer_not_found(customer_id)
    return _views(unit, limits=found, now=now)


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


def _views(unit: UnitOfWork, *, limits: CustomerLimits, now: datetime) -> tuple[LimitView, ...]:
    windows = [window_at(limit, at=now) for limit in limits.limits]
    keys = {window.key for window in windows}
    accounts = unit.limits.find_accounts(keys)
    leases = unit.leases.of_windows(keys)
    allowances = unit.limits.allowance_uses(keys)
    watchers = unit.leases.watchers(limits.customer_id)
    holders = unit.agents.by_refs({lease.agent_ref for lease in leases})
    views = []
    for window in windows:
        limit = window.limit
        account = accounts.get(window.key) or LimitAccount(
            key=window.key, start=window.span.start, end=window.span.end
        )
        of_window = [lease for lease in leases if lease.key == window.key]
        settled = settled_in(unit, limit=limit, account=account, now=now)
        borne = allowances.get(window.key, {})
        disks = {lease.agent_ref for lease in of_window} | set(watchers)
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
                allowance_used=sum(borne.values()),
                allowance_left=_allowance_left(limit, borne=borne, disks=disks),
                released_rest=unit.leases.released_rest(window.key) if account.released else 0,
            )
        )
    return tuple(views)


def _left(limit: LimitInForce, *, escrow: Escrow, maximum: int, leases: Sequence[Lease]) -> int:
    if limit.kind is LimitKind.RATE:
        shared = sum(each.rate_per_minute for each in leases if each.state is LeaseState.LIVE)
        return max(0, maximum - shared)
    return escrow.left(maximum=maximum, unknown_max=limit.scaled(limit.limit.reclaim_max))


def _allowance_left(limit: LimitInForce, *, borne: Mapping[int, int], disks: Iterable[int]) -> int:
    """Returns what agents may still use of their allowances, one for each disk and window."""
    if limit.limit.when_offline is not OfflinePolicy.ALLOWANCE:
        return 0
    allowance = limit.scaled(limit.limit.allowance)
    return sum(max(0, allowance - borne.get(disk, 0)) for disk in disks)


def _shares(leases: Sequence[Lease], *, holders: Mapping[int, Agent]) -> tuple[HeldShare, ...]:
    shares = []
    for lease in leases:
        holder = holders.get(lease.agent_ref)
        shares.append(HeldShare("" if holder is None else holder.name, lease))
    return tuple(sorted(shares, key=lambda each: (each.agent_name, each.lease.lease_id)))
