"""AcquireLease: exact amounts at once, for cold customers and the tail of a limit."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from billing_server.domain.limit.lease import Lease, WindowKey
from billing_server.domain.limit.numbering import decide_acquire
from billing_server.domain.ports.agents import Agent
from billing_server.domain.ports.limits import LeaseWant
from billing_server.domain.ports.unit_of_work import UnitOfWork, Urgency
from billing_server.services.grant_leases import Granter, customers_granted_money
from billing_server.services.lease_desk import (
    RESULTS,
    CallMark,
    CallResult,
    LeaseDesk,
    ToldLease,
    hold_accounts,
    lock_calling_disk,
    may_grant,
    stream_of,
    told_lease,
)
from billing_server.services.lease_terms import ToldCustomer, tell_terms, watch_terms
from billing_server.services.lease_windows import (
    OpenWindow,
    current_windows,
    open_windows,
    write_windows,
)
from billing_server.services.limit_accounts import Window


class Recall(NamedTuple):
    """One recall of one lease."""

    lease_id: bytes
    """Which lease."""
    recall_no: int
    """Which recall of it, >= 1."""


@dataclass(frozen=True, slots=True)
class WantedLease:
    """A lease that an agent asks for."""

    lease_id: bytes
    """16 bytes, chosen and written by the agent before it asks."""
    key: WindowKey
    """Of which window."""
    target: int
    """What `granted` should become. >= 0."""
    least: int = 0
    """Less than that in all is refused; 0: anything will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquireRequest:
    """What an agent asks for at once."""

    mark: CallMark
    """The last answered sync or session."""
    wanted: tuple[WantedLease, ...] = ()
    """Leases, in the order in which they are answered."""
    customer_ids: tuple[str, ...] = ()
    """Customers whose terms are asked for, and told of from then on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquireAnswer:
    """What was granted."""

    result: CallResult
    """What became of the call."""
    server_time: datetime
    """Now."""
    leases: tuple[ToldLease, ...] = ()
    """In the order of the request; `granted` as before is a refusal."""
    customers: tuple[ToldCustomer, ...] = ()
    """Terms of the customers that were asked for, and of those that were refused something."""
    waits_for: frozenset[Recall] = frozenset()
    """Recalls that are not answered yet: while they are fresh a refusal is not final."""


def acquire_leases(
    desk: LeaseDesk,
    *,
    agent: Agent,
    request: AcquireRequest,
    in_vain: Collection[bytes] = frozenset(),
) -> AcquireAnswer:
    """Grants what is asked for, or recalls what others do not need.

    Args:
        desk: the world.
        agent: who asks.
        request: what for.
        in_vain: leases whose recall was waited for, and not answered: others are recalled too.

    Raises:
        ConflictError: DATABASE_BUSY; nothing happened, a repeat is safe.
    """
    now = desk.now()
    mark = request.mark
    with desk.store.write(urgency=Urgency.URGENT) as unit:
        disk = lock_calling_disk(unit, agent=agent, disk_id=mark.disk_id)
        state = decide_acquire(
            stream_of(disk),
            server_incarnation=unit.agents.incarnation(),
            named=(mark.incarnation, mark.session_no),
            sync_no=mark.sync_no,
            nonce=mark.nonce,
        )
        if disk is None or RESULTS[state] is not CallResult.OK:
            return AcquireAnswer(result=RESULTS[state], server_time=now)
        windows = _windows(unit, desk=desk, wanted=request.wanted, now=now)
        known = unit.leases.by_id([each.lease_id for each in request.wanted])
        keys = {lease.key for lease in known.values()}
        hold_accounts(unit, windows=windows, keys=keys, now=now)
        opened = open_windows(unit, windows=windows, now=now)
        known = unit.leases.by_id([each.lease_id for each in request.wanted])
        granting = _Granting(
            Granter(agent_ref=disk.ref, now=now, random_bytes=desk.random_bytes),
            opened=opened,
            known=known,
            is_allowed=may_grant(unit, now=now),
            in_vain=in_vain,
        )
        leases = [granting.lease_for(each) for each in request.wanted]
        _note_wants(unit, agent_ref=disk.ref, missed=granting.missed, now=now)
        write_windows(unit, windows=opened.values())
        if granting.recalled:
            unit.leases.announce(granting.customers_recalled)
        granted = customers_granted_money(opened.values(), agent_ref=disk.ref)
        asked = {*request.customer_ids, *granting.refused}
        told = tell_terms(unit, book=desk.book, customer_ids=asked | granted, now=now)
        kept = watch_terms(unit, agent_ref=disk.ref, told=told, now=now)
        # What money buys is told with it where that has changed, and to the other agents as well.
        unit.leases.announce(granted & kept.changed)
        asked |= kept.changed | kept.first
        accounts = unit.limits.find_accounts({lease.key for lease in leases})
    return AcquireAnswer(
        result=CallResult.OK,
        server_time=now,
        leases=tuple(
            told_lease(lease, account=accounts.get(lease.key), now=now) for lease in leases
        ),
        customers=tuple(
            told[customer_id].with_revision(kept.revisions[customer_id])
            for customer_id in sorted(asked)
        ),
        waits_for=frozenset(granting.recalled),
    )


def _windows(
    unit: UnitOfWork, *, desk: LeaseDesk, wanted: Sequence[WantedLease], now: datetime
) -> list[Window]:
    pairs = {(each.key.customer_id, each.key.limit_key) for each in wanted}
    windows = current_windows(unit, book=desk.book, pairs=pairs, now=now)
    named = {each.key for each in wanted}
    following = [window.following() for window in windows if window.key not in named]
    return [*windows, *(window for window in following if window and window.key in named)]


def _note_wants(
    unit: UnitOfWork, *, agent_ref: int, missed: Mapping[tuple[str, str], int], now: datetime
) -> None:
    """Notes what was asked for and is not there, until the agent's next sync tells its demand.

    Else what others give back for it would stand by at them again before it can be granted.
    """
    if not missed:
        return
    known = unit.leases.wants_of_agent(agent_ref)
    wants = []
    for (customer_id, limit_key), amount in sorted(missed.items()):
        want = known.get((customer_id, limit_key)) or LeaseWant(
            agent_ref=agent_ref,
            customer_id=customer_id,
            limit_key=limit_key,
            demand_per_second=1,
            update_time=now,
        )
        if amount > want.largest_call:
            wants.append(replace(want, largest_call=amount))
    unit.leases.put_wants(wants)


class _Granting:
    """Grants the leases of one call, each in the order in which it was asked for."""

    def __init__(
        self,
        granter: Granter,
        *,
        opened: dict[WindowKey, OpenWindow],
        known: dict[bytes, Lease],
        is_allowed: bool,
        in_vain: Collection[bytes],
    ) -> None:
        self._granter = granter
        self._opened = opened
        self._known = known
        self._is_allowed = is_allowed
        self._in_vain = in_vain
        self.refused: set[str] = set()
        self.missed: dict[tuple[str, str], int] = {}
        """Least that was asked for, by customer and limit, where it could not be granted."""
        self.recalled: set[Recall] = set()
        self.customers_recalled: set[str] = set()

    def lease_for(self, wanted: WantedLease) -> Lease:
        """Returns a lease after what could be granted to it was granted."""
        window = self._opened.get(wanted.key)
        lease = self._known.get(wanted.lease_id)
        if lease is not None and window is not None:
            lease = window.leases.get(wanted.lease_id, lease)
        if lease is None:
            lease = Lease(
                lease_id=wanted.lease_id,
                key=wanted.key,
                agent_ref=self._granter.agent_ref,
                report_time=self._granter.now,
                create_time=self._granter.now,
            )
        is_mine = lease.agent_ref == self._granter.agent_ref and lease.key == wanted.key
        if window is None or not is_mine:
            self.refused.add(wanted.key.customer_id)
            return lease
        granted = lease
        if self._is_allowed:
            granted = self._granter.acquire(
                window, lease=lease, target=wanted.target, least=wanted.least
            )
        enough = max(wanted.least, 1) if wanted.least else wanted.target
        missing = enough - granted.granted
        if missing > 0 and not granted.burst:
            self.refused.add(wanted.key.customer_id)
            self.missed[wanted.key[:2]] = max(enough - lease.granted, 1)
            short = max(missing - window.left, 1)
            if self._is_allowed:
                awaited = self._granter.recall_for(window, missing=short, in_vain=self._in_vain)
                self.recalled |= {Recall(each.lease_id, each.recall_no) for each in awaited}
                # Told once: a ring for each look would wake everyone who waits, who look in turn.
                me = self._granter.agent_ref
                if any(window.leases[each].agent_ref != me for each in window.changed):
                    self.customers_recalled.add(wanted.key.customer_id)
        return granted
