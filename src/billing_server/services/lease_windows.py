"""Windows of limits with their leases, held for one round of lease work."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from billing_server.domain.limit.escrow import Escrow, escrow_of
from billing_server.domain.limit.in_force import CustomerLimits, LimitInForce
from billing_server.domain.limit.lease import Lease, LeaseState, WindowKey, granted, recalled
from billing_server.domain.limit.shares import (
    FreeBucket,
    RateShare,
    free_share,
    poured,
    refilled,
)
from billing_server.domain.limit.silence import (
    LOST_AGENT_AFTER,
    LOST_EPHEMERAL_AFTER,
    SILENT_AFTER,
    after_silence,
    expire_time_from,
    slots_are_free_at,
)
from billing_server.domain.limit.sizes import Demander
from billing_server.domain.ports.agents import Agent
from billing_server.domain.ports.limits import LeaseWant, LimitAccount
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.services.limit_accounts import (
    Window,
    maximum_of,
    open_missing_accounts,
    settled_in,
)
from billing_server.services.limit_book import LimitBook
from metering.limits import LimitKind, SilencePolicy

_TIMED_KINDS = (LimitKind.RATE, LimitKind.ROLLING, LimitKind.CONCURRENCY)


@dataclass(slots=True, kw_only=True)
class OpenWindow:
    """One window of a limit, held: its account, its leases, and who wants some."""

    window: Window
    """Which."""
    account: LimitAccount
    """As it stands."""
    maximum: int
    """B: the limit in force."""
    settled: int
    """S."""
    leases: dict[bytes, Lease]
    """Those that are not closed, or were closed in this round, by id."""
    demanders: tuple[Demander, ...]
    """Agents that want some and are there."""
    changed: set[bytes] = field(default_factory=set)
    """Leases that are to be written."""
    is_account_changed: bool = False
    """Whether the account is to be written, beside any leases."""

    @property
    def limit(self) -> LimitInForce:
        """Of which limit."""
        return self.window.limit

    @property
    def escrow(self) -> Escrow:
        """The terms of the escrow."""
        return escrow_of(self.settled, leases=self.leases.values())

    @property
    def left(self) -> int:
        """What may be granted now. >= 0."""
        unknown_max = self.limit.scaled(self.limit.limit.reclaim_max)
        return self.escrow.left(maximum=self.maximum, unknown_max=unknown_max)

    @property
    def rate(self) -> RateShare:
        """The whole of a rate."""
        burst = self.limit.limit.burst
        return RateShare(self.maximum, 0 if burst is None else self.limit.scaled(burst))

    @property
    def free_rate(self) -> RateShare:
        """What of a rate no agent holds."""
        return free_share(self.rate, leases=[lease for lease in self.live if lease.burst])

    @property
    def live(self) -> list[Lease]:
        """Leases that may be used."""
        return [lease for lease in self.leases.values() if lease.state is LeaseState.LIVE]

    def of_agent(self, agent_ref: int) -> Lease | None:
        """Returns the lease to which an agent may be granted more; None: it needs a new one."""
        return next(
            (each for each in self.live if each.agent_ref == agent_ref and not each.is_recalled),
            None,
        )

    def put(self, lease: Lease) -> None:
        """Keeps a changed lease."""
        self.leases[lease.lease_id] = lease
        self.changed.add(lease.lease_id)

    def grant_share(self, lease: Lease, *, share: RateShare, now: datetime) -> Lease:
        """Grants a share of a rate, with what the bucket of what is free has for it."""
        bucket = refilled(self.account.free_bucket, free=self.free_rate, now=now)
        bucket, tokens = poured(bucket, share=share)
        self.account = replace(self.account, free_bucket=bucket)
        lease = replace(lease, rate_per_minute=share.rate_per_minute, burst=share.burst)
        return self.grant(lease, amount=tokens, now=now)

    def grant(self, lease: Lease, *, amount: int, now: datetime) -> Lease:
        """Grants more to a lease, with a new time to live where it has one."""
        expires = expire_time_from(now) if has_time_to_live(self.limit) else None
        lease = replace(granted(lease, amount=amount), expire_time=expires, told_in=None)
        self.put(lease)
        largest = max(self.account.maximum_granted, self.maximum)
        self.account = replace(self.account, maximum_granted=largest)
        return lease

    def recall(self, leases: Iterable[Lease]) -> None:
        """Asks for what leases have free."""
        for lease in leases:
            self.put(replace(recalled(lease), told_in=None))

    def demander(self, agent_ref: int) -> Demander | None:
        """Returns what an agent wants; None: nothing."""
        return next((each for each in self.demanders if each.agent_ref == agent_ref), None)


def has_time_to_live(limit: LimitInForce) -> bool:
    """Tells whether leases of a limit end by time, without being recalled."""
    return limit.kind in _TIMED_KINDS or limit.limit.unconfirmed is SilencePolicy.RECLAIM


def open_windows(
    unit: UnitOfWork, *, windows: Sequence[Window], now: datetime
) -> dict[WindowKey, OpenWindow]:
    """Holds windows with their leases; what silence has freed meanwhile is freed.

    Args:
        unit: a write transaction in which no account is held yet.
        windows: which.
        now: the time.
    """
    open_missing_accounts(unit, windows=windows, now=now)
    accounts = unit.limits.lock_accounts([window.key for window in windows])
    leases: dict[WindowKey, dict[bytes, Lease]] = {key: {} for key in accounts}
    for lease in unit.leases.of_windows(accounts):
        leases[lease.key][lease.lease_id] = lease
    wants: dict[tuple[str, str], list[LeaseWant]] = {}
    for each in unit.leases.wants({(key.customer_id, key.limit_key) for key in accounts}):
        wants.setdefault((each.customer_id, each.limit_key), []).append(each)
    refs = {each.agent_ref for of_limit in wants.values() for each in of_limit}
    refs |= {lease.agent_ref for of_window in leases.values() for lease in of_window.values()}
    holders = unit.agents.by_refs(refs)
    opened: dict[WindowKey, OpenWindow] = {}
    for window in windows:
        account = accounts[window.key]
        held = OpenWindow(
            window=window,
            account=account,
            maximum=maximum_of(unit, limit=window.limit),
            settled=settled_in(unit, limit=window.limit, account=account, now=now),
            leases=leases[window.key],
            demanders=(),
        )
        free_silent_leases(held, holders=holders, now=now)
        if window.limit.kind is LimitKind.RATE:
            _fill_free_bucket(held, now=now)
        of_limit = wants.get((window.limit.customer_id, window.limit.key), ())
        held.demanders = _demanders(held, wants=of_limit, holders=holders, now=now)
        opened[window.key] = held
    return opened


def write_windows(unit: UnitOfWork, *, windows: Iterable[OpenWindow]) -> None:
    """Writes what a round changed."""
    opened = list(windows)
    unit.leases.put([window.leases[each] for window in opened for each in sorted(window.changed)])
    unit.limits.put_accounts(
        [window.account for window in opened if window.changed or window.is_account_changed]
    )


def _fill_free_bucket(held: OpenWindow, *, now: datetime) -> None:
    """Lets the bucket of what is free fill at the rate that is free from now on."""
    bucket, free = held.account.free_bucket, held.free_rate
    if bucket is None and held.account.maximum_granted == 0:
        bucket = FreeBucket(free.burst, free, now)
    elif bucket is None or bucket.size != free:
        bucket = refilled(bucket, free=free, now=now)
    if bucket != held.account.free_bucket:
        held.account = replace(held.account, free_bucket=bucket)
        held.is_account_changed = True


def free_silent_leases(held: OpenWindow, *, holders: Mapping[int, Agent], now: datetime) -> None:
    """Frees what the agents of leases have left: by time, by silence, or as lost."""
    limit = held.limit
    for lease in list(held.leases.values()):
        if _is_over(lease, limit=limit, now=now):
            closed = replace(lease, state=LeaseState.CLOSED, rate_per_minute=0, burst=0)
            held.put(replace(closed, told_in=None))
            continue
        holder = holders.get(lease.agent_ref)
        freed = after_silence(
            lease,
            unconfirmed=limit.limit.unconfirmed,
            silent_for=now - _last_heard(lease, holder=holder),
            lost_after=_lost_after(holder),
        )
        if freed != lease:
            held.put(replace(freed, told_in=None))


def current_windows(
    unit: UnitOfWork,
    *,
    book: LimitBook,
    pairs: Iterable[tuple[str, str]],
    now: datetime,
) -> list[Window]:
    """Returns the windows that run now of limits named by customer and key."""
    limits = customer_limits(unit, book=book, customer_ids={pair[0] for pair in pairs}, now=now)
    found = []
    for customer_id, key in sorted(set(pairs)):
        of_customer = limits.get(customer_id)
        limit = None if of_customer is None else of_customer.get(key)
        if limit is not None:
            found.append(Window(limit, limit.span_at(now)))
    return found


def customer_limits(
    unit: UnitOfWork, *, book: LimitBook, customer_ids: Iterable[str], now: datetime
) -> dict[str, CustomerLimits]:
    """Returns the limits of those customers that exist."""
    wanted = sorted(set(customer_ids))
    catalog_revision = unit.catalog.revision()
    found: dict[str, CustomerLimits] = {}
    for customer_id, revision in unit.customers.revisions(wanted).items():
        sources = book.sources(
            unit,
            catalog_revision=catalog_revision,
            customer_id=customer_id,
            revision=revision,
        )
        if sources is not None:
            found[customer_id] = sources.at(now)
    return found


def _is_over(lease: Lease, *, limit: LimitInForce, now: datetime) -> bool:
    """Tells whether time alone has freed a lease: a share of a rate, or slots.

    A share whose size is not known, since this server was restored and its agent does not tell, is
    over at once: it would be granted to others beside it.
    """
    if limit.kind is LimitKind.RATE and not lease.burst:
        return lease.state is LeaseState.LIVE
    if lease.expire_time is None:
        return False
    if limit.kind is LimitKind.RATE:
        return now >= lease.expire_time
    free_at = slots_are_free_at(lease, kind=limit.kind, max_hold=limit.limit.max_hold)
    return free_at is not None and now >= free_at


def _last_heard(lease: Lease, *, holder: Agent | None) -> datetime:
    told = lease.report_time or lease.create_time
    return told if holder is None or holder.sync_time is None else max(told, holder.sync_time)


def _lost_after(holder: Agent | None) -> timedelta:
    is_ephemeral = holder is not None and holder.is_ephemeral
    return LOST_EPHEMERAL_AFTER if is_ephemeral else LOST_AGENT_AFTER


def _demanders(
    held: OpenWindow,
    *,
    wants: Iterable[LeaseWant],
    holders: Mapping[int, Agent],
    now: datetime,
) -> tuple[Demander, ...]:
    """Returns who of those that want some of its limit is there to use it."""
    free: dict[int, int] = {}
    for lease in held.live:
        free[lease.agent_ref] = free.get(lease.agent_ref, 0) + lease.free
    found = []
    for want in wants:
        holder = holders.get(want.agent_ref)
        heard = None if holder is None else holder.sync_time
        is_there = heard is not None and now - heard < SILENT_AFTER
        if is_there:
            found.append(
                Demander(
                    agent_ref=want.agent_ref,
                    demand_per_second=want.demand_per_second,
                    largest_call=want.largest_call,
                    outage_float=want.outage_float,
                    free=free.get(want.agent_ref, 0),
                )
            )
    return tuple(found)
