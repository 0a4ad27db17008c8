"""What agents tell of their leases: counters that only rise, applied under the accounts' locks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from billing_server.domain.limit.lease import (
    Lease,
    LeaseReport,
    LeaseState,
    WindowKey,
    reported,
)
from billing_server.domain.limit.silence import expire_time_from
from billing_server.domain.ports.limits import LimitAccount
from billing_server.domain.ports.unit_of_work import UnitOfWork

ADOPTED_FOR: Final = timedelta(days=37)
"""So long after a restore closed leases are adopted: until their last event was shipped again."""


@dataclass(frozen=True, slots=True)
class ReportedLease:
    """One lease as an agent tells of it."""

    lease_id: bytes
    """16 bytes."""
    key: WindowKey
    """Of which window."""
    report: LeaseReport
    """Its counters."""
    rate_per_minute: int = 0
    """Share of a rate as the agent has it; 0 for other kinds."""
    burst: int = 0
    """Share of a rate's burst."""


@dataclass(frozen=True, slots=True)
class AppliedReports:
    """What reports came to."""

    pairs: frozenset[tuple[str, str]]
    """Customer and limit of every lease that was told of."""
    freed: frozenset[str]
    """Customers of whom something was given back."""


def apply_reports(
    unit: UnitOfWork, *, agent_ref: int, reports: Sequence[ReportedLease], now: datetime
) -> AppliedReports:
    """Keeps what a disk tells of its leases.

    A lease that is not known was granted before this server went back to a backup: it is adopted,
    and its rest is escrowed again. One of another disk is left alone, and so is a closed one that
    is not known: unless this server went back of late, it was forgotten long after it ended.

    Args:
        unit: a write transaction; the agent is held in it.
        agent_ref: the disk.
        reports: each lease once.
        now: the time.
    """
    if not reports:
        return AppliedReports(frozenset(), frozenset())
    known = unit.leases.by_id([each.lease_id for each in reports])
    keys = {lease.key for lease in known.values()} | {each.key for each in reports}
    accounts = unit.limits.lock_accounts(keys)
    # Read again under the locks.
    known = unit.leases.by_id([each.lease_id for each in reports])
    restored_at = unit.agents.incarnation_time()
    is_restored = restored_at is not None and now - restored_at < ADOPTED_FOR
    changed: list[Lease] = []
    pairs: set[tuple[str, str]] = set()
    freed: set[str] = set()
    for each in reports:
        if each.lease_id not in known and each.report.is_closed and not is_restored:
            continue
        lease = known.get(each.lease_id) or Lease(
            lease_id=each.lease_id,
            key=each.key,
            agent_ref=agent_ref,
            rate_per_minute=each.rate_per_minute,
            burst=each.burst,
            expire_time=_expire_time(accounts.get(each.key), now=now),
            create_time=now,
        )
        if lease.agent_ref != agent_ref:
            continue
        told = _told(lease, each, now=now)
        if told.key.limit_key:
            pairs.add((told.key.customer_id, told.key.limit_key))
        if told.returned > lease.returned or told.burst < lease.burst:
            freed.add(told.key.customer_id)
        if told != lease:
            changed.append(told)
    unit.leases.put(changed)
    return AppliedReports(frozenset(pairs), frozenset(freed))


def _expire_time(account: LimitAccount | None, *, now: datetime) -> datetime | None:
    """Returns when a lease that is adopted is over: one of a window that never ends may be timed.

    Where it is not, the next grant says so.
    """
    return None if account is not None and account.end is not None else expire_time_from(now)


def _told(lease: Lease, each: ReportedLease, *, now: datetime) -> Lease:
    if not lease.key.limit_key:
        # Only a debit had named it so far.
        lease = replace(lease, key=each.key)
    is_share = lease.burst > 0
    answered = each.report.recall_no >= lease.recall_no > lease.answered_recall_no
    told = reported(lease, report=each.report, now=now)
    if each.report.granted >= lease.granted and each.report.recall_no >= lease.recall_no:
        told = replace(told, told_in=0)
    if is_share and (answered or each.report.is_closed):
        # A share is given back whole.
        return replace(told, state=LeaseState.CLOSED, rate_per_minute=0, burst=0)
    return told
