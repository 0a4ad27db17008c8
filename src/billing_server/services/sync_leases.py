"""SyncLeases: an agent's absolute view in, grants, recalls and changed limits out.

A sync that finds no news is answered later: the edge lets it wait outside of any transaction and
looks again when a customer of the agent has news, or when its time is over.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from billing_server.domain.limit.lease import WindowKey
from billing_server.domain.limit.numbering import SyncState, decide_sync
from billing_server.domain.ports.agents import Agent
from billing_server.domain.ports.limits import LeaseWant, SettledReservation
from billing_server.domain.ports.unit_of_work import UnitOfWork, Urgency
from billing_server.services.grant_leases import (
    Granter,
    customers_granted_money,
    customers_of_others,
    exceeded_by,
    recall_excess,
)
from billing_server.services.lease_desk import (
    RESULTS,
    CallMark,
    CallResult,
    LeaseDesk,
    hold_accounts,
    lock_calling_disk,
    may_grant,
    stream_of,
)
from billing_server.services.lease_reports import AppliedReports, ReportedLease, apply_reports
from billing_server.services.lease_terms import TERMS_AT_ONCE, tell_terms, watch_terms
from billing_server.services.lease_windows import (
    OpenWindow,
    current_windows,
    open_windows,
    write_windows,
)
from billing_server.services.limit_accounts import Window
from billing_server.services.sync_answer import RENEWED_BEFORE, Answering, SyncAnswer, sync_answer
from metering.limits import LimitKind

PREFETCH = timedelta(seconds=20)
"""So long before a window ends leases of the next one are granted."""

GROWN_AT_ONCE = 100
"""Limits whose windows one sync opens because an agent wants more of them: each is more than a
millisecond of work, and agents that wait for a lease at once are to get theirs in time."""
REPORTED_AT_ONCE = 100
"""Limits whose windows one sync opens because leases of them were used or given back."""
SHRUNK_AT_ONCE = 3_000
"""Rows of demand that fell which one sync writes: nothing is looked at for them."""

Pair = tuple[str, str]
"""Customer and key of a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest:
    """What an agent tells in a sync."""

    mark: CallMark
    """Which sync it is."""
    reports: tuple[ReportedLease, ...] = ()
    """Leases that changed; all of them in the first sync of a session."""
    wants: tuple[LeaseWant, ...] = ()
    """Demand; what is not listed has none. The disk and the time are filled in here."""
    customer_ids: tuple[str, ...] = ()
    """Customers whose terms it knows or wants."""
    terms_revision: int = 0
    """Highest revision of terms that it has heard."""
    dropped: tuple[SettledReservation, ...] = ()
    """Reservations whose hold it has dropped."""

    @property
    def customers(self) -> frozenset[str]:
        """Customers whose news end its waiting."""
        named = {want.customer_id for want in self.wants} | set(self.customer_ids)
        return frozenset(named | {each.key.customer_id for each in self.reports})


def sync_leases(
    desk: LeaseDesk, *, agent: Agent, request: SyncRequest, answering: Answering
) -> SyncAnswer:
    """Keeps what an agent tells and returns what there is for it.

    Raises:
        ConflictError: DATABASE_BUSY; nothing happened, a repeat is safe.
    """
    now = desk.now()
    mark = request.mark
    with desk.store.write(urgency=Urgency.URGENT) as unit:
        disk = lock_calling_disk(unit, agent=agent, disk_id=mark.disk_id)
        state = decide_sync(
            stream_of(disk),
            server_incarnation=unit.agents.incarnation(),
            named=(mark.incarnation, mark.session_no),
            sync_no=mark.sync_no,
            nonce=mark.nonce,
        )
        if disk is None or RESULTS[state] is not CallResult.OK:
            return SyncAnswer(result=RESULTS[state], server_time=now)
        if request.terms_revision and not unit.leases.last_revision(disk.ref):
            # What it watched was forgotten while it counted as lost: a session names it again.
            return SyncAnswer(result=CallResult.FENCED, server_time=now)
        if state is SyncState.ACCEPTED:
            _note_heard(unit, disk=disk, mark=mark)
        answer_no = unit.agents.note_sync(disk, sync_no=mark.sync_no, nonce=mark.nonce, at=now)
        wants_changed = _keep_wants(unit, disk=disk, wants=request.wants, now=now)
        unit.leases.drop_settled_elsewhere(disk.ref, reservations=request.dropped)
        pairs = wants_changed | _reported(request)
        fresh = _unwatched(unit, disk=disk, customer_ids=request.customer_ids)
        pairs |= {pair for pair in _wanted(request.wants) if pair[0] in fresh}
        windows = _hold(
            unit,
            desk=desk,
            disk=disk,
            sync_no=mark.sync_no,
            pairs=pairs,
            reports=request.reports,
            now=now,
        )
        applied = apply_reports(unit, agent_ref=disk.ref, reports=request.reports, now=now)
        stale = _stale_customers(unit, disk=disk, now=now)
        changed = _grant(unit, desk=desk, disk=disk, windows=windows, request=request, now=now)
        _announce(unit, applied=applied, windows=changed, disk=disk)
        _keep_terms(
            unit, desk=desk, disk=disk, customer_ids=fresh | stale, windows=changed, now=now
        )
        answer = sync_answer(
            unit,
            desk=desk,
            disk=disk,
            mark=(request.mark.sync_no, request.terms_revision),
            answering=answering,
            now=now,
        )
        exceeded = exceeded_by(disk.ref, windows=changed)
        return replace(answer, answer_no=answer_no, exceeded=exceeded)


def look_again(
    desk: LeaseDesk,
    *,
    agent: Agent,
    request: SyncRequest,
    rung: Collection[str],
    answering: Answering,
) -> SyncAnswer:
    """Returns what there is for an agent whose sync waits.

    Args:
        desk: the world.
        agent: whose sync it is.
        request: the sync.
        rung: customers that have had news since.
        answering: `NOW` once its time is over.
    """
    now = desk.now()
    mark = request.mark
    with desk.store.write(urgency=Urgency.URGENT) as unit:
        disk = lock_calling_disk(unit, agent=agent, disk_id=mark.disk_id)
        is_current = (
            disk is not None
            and (mark.incarnation, mark.session_no) == (unit.agents.incarnation(), disk.session_no)
            and mark.sync_no == disk.sync_no
        )
        if disk is None or not is_current:
            return SyncAnswer(result=CallResult.FENCED, server_time=now)
        answer_no = unit.agents.note_sync(disk, sync_no=mark.sync_no, nonce=mark.nonce, at=now)
        stale = _stale_customers(unit, disk=disk, now=now)
        customers = stale | set(rung)
        pairs = {pair for pair in _wanted(request.wants) if pair[0] in customers}
        windows = _hold(unit, desk=desk, disk=disk, sync_no=mark.sync_no, pairs=pairs, now=now)
        changed = _grant(unit, desk=desk, disk=disk, windows=windows, request=request, now=now)
        _announce(unit, applied=None, windows=changed, disk=disk)
        # Where others were granted money and may buy past a tier, all of the rest costs more.
        repriced = {
            window.limit.customer_id
            for window in changed
            if window.limit.kind is LimitKind.MONEY and window.limit.customer_id in rung
        }
        _keep_terms(
            unit, desk=desk, disk=disk, customer_ids=stale | repriced, windows=changed, now=now
        )
        answer = sync_answer(
            unit,
            desk=desk,
            disk=disk,
            mark=(request.mark.sync_no, request.terms_revision),
            answering=answering,
            now=now,
        )
        exceeded = exceeded_by(disk.ref, windows=changed)
        return replace(answer, answer_no=answer_no, exceeded=exceeded)


def _unwatched(unit: UnitOfWork, *, disk: Agent, customer_ids: Sequence[str]) -> set[str]:
    """Returns the customers of which a disk is not told yet."""
    if not customer_ids:
        return set()
    known = unit.leases.watches(disk.ref, customer_ids=customer_ids)
    return set(customer_ids) - known.keys()


def _note_heard(unit: UnitOfWork, *, disk: Agent, mark: CallMark) -> None:
    """Notes that the agent has heard an answer to the sync before: what that told is known.

    A call that was given up may still have waited here and been answered after the one that
    repeated it: nobody heard what it told.
    """
    before = mark.sync_no - 1
    if mark.heard_answer_no not in (0, disk.answer_no):
        unit.leases.tell_anew(disk.ref, told_in=before)
    unit.leases.forget_told_elsewhere(disk.ref, told_before=mark.sync_no)


def _wanted(wants: Sequence[LeaseWant]) -> set[Pair]:
    return {(want.customer_id, want.limit_key) for want in wants}


def _reported(request: SyncRequest) -> set[Pair]:
    """Returns whose windows to open because of what was told of their leases.

    So many that the round stays short: those first of which the least is left. What is told of the
    others is kept all the same; of what they gave back whoever waits for it hears.
    """
    reports = sorted(request.reports, key=lambda each: each.report.free)
    pairs = dict.fromkeys((each.key.customer_id, each.key.limit_key) for each in reports)
    return set(list(pairs)[:REPORTED_AT_ONCE])


def _keep_wants(
    unit: UnitOfWork, *, disk: Agent, wants: Sequence[LeaseWant], now: datetime
) -> set[Pair]:
    """Writes demand that differs from what is kept; returns whose has grown.

    So many at a time that the round stays short, the urgent ones first. The others stay as they are
    kept and are news in the next sync, since an agent tells all of its demand in each.
    """
    known = unit.leases.wants_of_agent(disk.ref)
    grown: list[LeaseWant] = []
    shrunk: list[LeaseWant] = []
    for told in wants:
        want = replace(told, agent_ref=disk.ref, update_time=now)
        before = known.pop((want.customer_id, want.limit_key), None)
        if before is None or want.is_urgent or _has_grown(want, before=before):
            grown.append(want)
        elif replace(before, update_time=now) != want:
            shrunk.append(want)
    grown.sort(key=lambda want: (not want.is_urgent, want.customer_id, want.limit_key))
    del grown[GROWN_AT_ONCE:]
    unit.leases.put_wants([*grown, *shrunk[:SHRUNK_AT_ONCE]])
    unit.leases.drop_wants(disk.ref, pairs=known)
    return _wanted(grown)


def _has_grown(want: LeaseWant, *, before: LeaseWant) -> bool:
    return (
        want.demand_per_second > before.demand_per_second
        or want.largest_call > before.largest_call
        or want.outage_float > before.outage_float
    )


def _hold(
    unit: UnitOfWork,
    *,
    desk: LeaseDesk,
    disk: Agent,
    sync_no: int,
    pairs: set[Pair],
    reports: Sequence[ReportedLease] = (),
    now: datetime,
) -> list[Window]:
    """Holds every account that the round may touch, at once and in order."""
    windows = current_windows(unit, book=desk.book, pairs=pairs, now=now)
    soon = [
        window.following()
        for window in windows
        if window.span.end is not None and window.span.end - now <= PREFETCH
    ]
    windows += [window for window in soon if window is not None]
    mine = unit.leases.to_tell(
        disk.ref,
        told_in=sync_no,
        expiring_before=now + RENEWED_BEFORE,
    )
    keys: set[WindowKey] = {lease.key for lease in mine}
    keys |= {each.key for each in reports}
    hold_accounts(unit, windows=windows, keys=keys, now=now)
    return windows


def _grant(
    unit: UnitOfWork,
    *,
    desk: LeaseDesk,
    disk: Agent,
    windows: Sequence[Window],
    request: SyncRequest,
    now: datetime,
) -> list[OpenWindow]:
    opened = list(open_windows(unit, windows=windows, now=now).values())
    is_allowed = may_grant(unit, now=now)
    urgent = {(want.customer_id, want.limit_key): want for want in request.wants if want.is_urgent}
    granter = Granter(agent_ref=disk.ref, now=now, random_bytes=desk.random_bytes)
    for window in opened:
        recall_excess(window, now=now)
        if not is_allowed:
            continue
        granter.grant_standing(window)
        want = urgent.get((window.limit.customer_id, window.limit.key))
        missing = 0 if want is None else max(want.largest_call, 1) - window.left
        if missing > 0:
            granter.recall_for(window, missing=missing)
    write_windows(unit, windows=opened)
    return opened


def _announce(
    unit: UnitOfWork,
    *,
    applied: AppliedReports | None,
    windows: Sequence[OpenWindow],
    disk: Agent,
) -> None:
    """Wakes agents whose leases were recalled, and those that wait for what was given back."""
    customers = customers_of_others(windows, agent_ref=disk.ref)
    if applied is not None:
        opened = {window.limit.customer_id for window in windows}
        customers |= applied.freed - opened
        customers |= {
            window.limit.customer_id
            for window in windows
            if window.limit.customer_id in applied.freed
            and any(each.agent_ref != disk.ref for each in window.demanders)
        }
    if customers:
        unit.leases.announce(customers)


def _stale_customers(unit: UnitOfWork, *, disk: Agent, now: datetime) -> set[str]:
    watches = unit.leases.stale_watches(
        disk.ref, catalog_revision=unit.catalog.revision(), now=now, limit=TERMS_AT_ONCE
    )
    return {watch.customer_id for watch in watches}


def _keep_terms(
    unit: UnitOfWork,
    *,
    desk: LeaseDesk,
    disk: Agent,
    customer_ids: set[str],
    windows: Sequence[OpenWindow],
    now: datetime,
) -> None:
    """Keeps what the agent is to be told: with money, what it buys from where all stand now."""
    granted = customers_granted_money(windows, agent_ref=disk.ref) - customer_ids
    told = {*customer_ids, *sorted(granted)[:TERMS_AT_ONCE]}
    if told:
        terms = tell_terms(unit, book=desk.book, customer_ids=told, now=now)
        kept = watch_terms(unit, agent_ref=disk.ref, told=terms, now=now)
        # The other agents buy from there as well.
        unit.leases.announce(granted & kept.changed)
