"""What a sync of leases is answered: what is new for the agent, told once and again on a repeat."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from billing_server.domain.limit.lease import Lease, LeaseState
from billing_server.domain.limit.silence import expire_time_from
from billing_server.domain.ports.agents import Agent
from billing_server.domain.ports.limits import SettledReservation
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.services.lease_desk import (
    LEASES_AT_ONCE,
    RESERVATIONS_AT_ONCE,
    CallResult,
    LeaseDesk,
    ToldLease,
    told_lease,
)
from billing_server.services.lease_terms import TERMS_AT_ONCE, ToldCustomer, tell_terms

RENEWED_BEFORE: Final = timedelta(seconds=55)
"""A time to live that ends sooner begins anew with each answer."""


class Answering(Enum):
    """Whether a sync is answered in any case, or only if there is news."""

    WITH_NEWS = "with_news"
    CALMLY = "calmly"
    """Only with news that somebody waits for: mere grants are none."""
    NOW = "now"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncAnswer:
    """What an agent is answered."""

    result: CallResult
    """What became of the call."""
    server_time: datetime
    """Now."""
    leases: tuple[ToldLease, ...] = ()
    """Whose grant, recall or time has changed."""
    customers: tuple[ToldCustomer, ...] = ()
    """Whose terms have changed, in the order of their revisions."""
    terms_revision: int = 0
    """To be sent with the next sync."""
    answer_no: int = 0
    """To be named in the next sync."""
    settled_elsewhere: tuple[SettledReservation, ...] = ()
    """Reservations whose hold is to be dropped."""
    exceeded: frozenset[str] = frozenset()
    """Customers with a limit that was lowered below what is used and leased, of which this agent
    holds some: what its calls leave over is recalled as they end, so it is looked at again soon."""
    has_news: bool = True
    """Whether there is a reason to answer at once."""


def sync_answer(
    unit: UnitOfWork,
    *,
    desk: LeaseDesk,
    disk: Agent,
    mark: tuple[int, int],
    answering: Answering,
    now: datetime,
) -> SyncAnswer:
    """Puts an answer together. What it tells is marked as told where it is given.

    Args:
        unit: the transaction; the accounts of the agent's leases are held in it.
        desk: the world.
        disk: whose sync it is.
        mark: number of the sync, and the highest revision of terms that the agent has heard.
        answering: whether to answer without news.
        now: the time.
    """
    sync_no, heard_revision = mark
    due = unit.leases.to_tell(disk.ref, told_in=sync_no, expiring_before=now + RENEWED_BEFORE)
    # First what the answer before told, should it have been lost; the rest is news to the next.
    leases = sorted(due, key=lambda lease: lease.told_in != sync_no)[:LEASES_AT_ONCE]
    watches = unit.leases.watches_after(
        disk.ref, terms_revision=heard_revision, limit=TERMS_AT_ONCE
    )
    elsewhere = unit.leases.settled_elsewhere(disk.ref, told_in=sync_no, limit=RESERVATIONS_AT_ONCE)
    is_untold = any(
        lease.told_in in (None, sync_no)
        and (answering is Answering.WITH_NEWS or lease.is_recalled or not lease.is_live)
        for lease in leases
    )
    if answering is not Answering.NOW and not (watches or elsewhere or is_untold):
        return SyncAnswer(
            result=CallResult.OK,
            server_time=now,
            terms_revision=heard_revision,
            has_news=False,
        )
    unit.leases.tell_settled_elsewhere(disk.ref, reservations=elsewhere, told_in=sync_no)
    revisions = {watch.customer_id: watch.terms_revision for watch in watches}
    terms = tell_terms(unit, book=desk.book, customer_ids=revisions, now=now)
    return SyncAnswer(
        result=CallResult.OK,
        server_time=now,
        leases=tell_leases(unit, leases=leases, sync_no=sync_no, now=now),
        customers=tuple(
            terms[customer_id].with_revision(revision)
            for customer_id, revision in sorted(revisions.items(), key=lambda item: item[1])
        ),
        terms_revision=max([heard_revision, *revisions.values()]),
        settled_elsewhere=elsewhere,
    )


def tell_leases(
    unit: UnitOfWork, *, leases: Sequence[Lease], sync_no: int, now: datetime
) -> tuple[ToldLease, ...]:
    """Returns leases as their agent is told of them, and marks them as told.

    The time of those that have one begins anew.
    """
    told = [_renewed(lease, sync_no=sync_no, now=now) for lease in leases]
    unit.leases.tell([lease for lease, before in zip(told, leases, strict=True) if lease != before])
    accounts = unit.limits.find_accounts({lease.key for lease in told})
    return tuple(
        told_lease(lease, account=accounts.get(lease.key), now=now) for lease in _ordered(told)
    )


def _renewed(lease: Lease, *, sync_no: int, now: datetime) -> Lease:
    expires = lease.expire_time
    if expires is not None and lease.state is LeaseState.LIVE and not lease.is_recalled:
        expires = expire_time_from(now)
    return replace(lease, told_in=sync_no, expire_time=expires)


def _ordered(leases: Iterable[Lease]) -> list[Lease]:
    return sorted(leases, key=lambda lease: (lease.key, lease.lease_id))
