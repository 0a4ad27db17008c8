"""What lease work is handed, and what all of it shares: who calls, what is held, what is told."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from billing_server.domain.limit.lease import Lease, LeaseState, WindowKey
from billing_server.domain.limit.numbering import SyncState
from billing_server.domain.limit.shares import SHARE_TTL
from billing_server.domain.limit.silence import may_grant_after_restore
from billing_server.domain.ports.agents import Agent
from billing_server.domain.ports.limits import LimitAccount
from billing_server.domain.ports.unit_of_work import Store, UnitOfWork
from billing_server.domain.session.opening import Stream
from billing_server.services.limit_accounts import Window, open_missing_accounts
from billing_server.services.limit_book import LimitBook
from metering.clock import Clock
from metering.errors import AuthenticationError

LEASES_AT_ONCE: Final = 10_000
"""Leases, or wants, of one call."""
RESERVATIONS_AT_ONCE: Final = 1_000
"""Reservations settled elsewhere that one answer tells of."""


class CallResult(Enum):
    """What became of a call about leases."""

    OK = "ok"
    FENCED = "fenced"
    """The session or incarnation is not the current one: nothing changed."""
    IDENTITY_TAKEN = "identity_taken"
    """Another copy of the disk lives, or it went back: nothing changed."""


RESULTS: Final = {
    SyncState.ACCEPTED: CallResult.OK,
    SyncState.REPEATED: CallResult.OK,
    SyncState.FENCED: CallResult.FENCED,
    SyncState.IDENTITY_TAKEN: CallResult.IDENTITY_TAKEN,
}
"""What an agent is told about where its call stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMark:
    """Which call of which session it is."""

    disk_id: bytes
    """Identity of the agent's disk."""
    session_no: int
    """As answered by OpenSession."""
    incarnation: str
    """As answered by OpenSession."""
    sync_no: int
    """Of the sync; for an acquisition, of the last answered sync or session."""
    nonce: bytes
    """Of the same, 16 bytes."""
    heard_answer_no: int = 0
    """Of a sync: the answer to the one before that was heard. 0: not said."""


@dataclass(frozen=True, slots=True)
class ToldLease:
    """A lease as its agent is told of it."""

    lease: Lease
    """The lease."""
    remaining: timedelta | None
    """How long it may be used, from when its request was sent; None: until it is recalled."""
    starts_after: timedelta | None
    """How long until it may be used; None: at once."""

    @property
    def is_closed(self) -> bool:
        """Whether it will never be granted more."""
        is_over = self.remaining is not None and self.remaining <= timedelta(0)
        return is_over or self.lease.state is not LeaseState.LIVE


@dataclass(frozen=True, slots=True)
class LeaseDesk:
    """What lease work is handed. One for the whole server; safe for many threads."""

    store: Store
    """Opens transactions."""
    clock: Clock
    """Tells the time."""
    random_bytes: Callable[[int], bytes]
    """Makes ids of leases."""
    book: LimitBook = field(default_factory=LimitBook)
    """Limits of customers, compiled."""

    def now(self) -> datetime:
        """Returns the time."""
        return self.clock.now()


def lock_calling_disk(unit: UnitOfWork, *, agent: Agent, disk_id: bytes) -> Agent | None:
    """Returns what is known of the disk that calls, held with its agent; None: nothing.

    Raises:
        AuthenticationError: TOKEN_UNKNOWN, the agent was removed or revoked meanwhile.
    """
    enrolled = unit.agents.lock(agent.agent_id)
    if enrolled is None or enrolled.revoke_time is not None:
        raise AuthenticationError(
            reason="TOKEN_UNKNOWN", message="the agent was removed: enroll it again"
        )
    if disk_id == enrolled.disk_id:
        return enrolled
    return unit.agents.disk(enrolled, disk_id=disk_id)


def stream_of(disk: Agent | None) -> Stream | None:
    """Returns where a disk stands, as decisions about numbers take it."""
    if disk is None or disk.disk_id is None:
        return None
    return Stream(
        disk_id=disk.disk_id,
        session_no=disk.session_no,
        session_nonce=disk.session_nonce or b"",
        sync_no=disk.sync_no,
        applied_seq=disk.applied_seq,
        sync_nonce=disk.sync_nonce or b"",
        previous_nonce=disk.previous_sync_nonce or b"",
    )


def hold_accounts(
    unit: UnitOfWork, *, windows: Sequence[Window], keys: Collection[WindowKey], now: datetime
) -> None:
    """Holds every account that a round may touch at once, in sorted order.

    Args:
        unit: a write transaction in which no account is held yet.
        windows: opened where they are not there yet.
        keys: of further accounts; those that are not there are left out.
        now: the time.
    """
    open_missing_accounts(unit, windows=windows, now=now)
    unit.limits.lock_accounts({window.key for window in windows} | set(keys))


def may_grant(unit: UnitOfWork, *, now: datetime) -> bool:
    """Tells whether this server grants: one that was restored first hears of its agents."""
    restored_at = unit.agents.incarnation_time()
    if restored_at is None:
        return True
    unheard = unit.agents.unheard(unit.agents.incarnation())
    return may_grant_after_restore(restored_at=restored_at, now=now, unheard_refs=unheard)


def told_lease(lease: Lease, *, account: LimitAccount | None, now: datetime) -> ToldLease:
    """Returns a lease as its agent is told of it.

    Args:
        lease: as it is kept.
        account: of its window; None: it is not known.
        now: the time of the answer.
    """
    ends = [] if lease.expire_time is None else [SHARE_TTL]
    starts_after = None
    if account is not None and account.end is not None:
        ends.append(max(account.end - now, timedelta(0)))
    if account is not None and account.start is not None and account.start > now:
        starts_after = account.start - now
    if lease.state is not LeaseState.LIVE:
        ends.append(timedelta(0))
    return ToldLease(lease, min(ends, default=None), starts_after)
