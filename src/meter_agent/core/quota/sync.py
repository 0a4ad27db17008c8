"""What passes between agent and server about leases: numbering, counters, grants, recalls.

Counters are absolute, so a sync may be lost, doubled or cancelled; what makes one the latest is
its number, which is written before it is sent and advances only after an answer. Sessions take
part in the same numbering (`positions.session_attempted`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from meter_agent.core.positions import Positions
from meter_agent.core.quota.lease import (
    NEVER,
    US_PER_MINUTE,
    Lease,
    recalled,
    refilled,
)
from meter_agent.core.quota.lease import expired as lease_expired


class SyncOutcome(Enum):
    """What the server said to a sync."""

    DONE = "done"
    """It counts: the next one has the next number."""
    FENCED = "fenced"
    """The session is not the current one: nothing changed; a session must be opened."""
    IDENTITY_TAKEN = "identity_taken"
    """Another copy of this disk lives, or it went back: take a new disk id, hold no leases."""


@dataclass(frozen=True, slots=True)
class SyncMark:
    """The last answered sync or session: every AcquireLease names it."""

    sync_no: int
    """Its number, >= 1."""
    nonce: bytes
    """Its nonce, 16 bytes."""
    answer_no: int = 0
    """Number of the answer that was heard; 0: the server does not count them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseNews:
    """One lease as the server has it, in an answer."""

    lease_id: bytes
    """16 bytes."""
    customer_id: str
    """Whose limit."""
    limit_key: str
    """Which limit."""
    window_id: str
    """Which window of it."""
    granted: int
    """In all; for a share of a rate, what was put into its bucket in all. >= 0."""
    returned: int = 0
    """In all, as the server heard it. >= 0."""
    settled: int = 0
    """In all, as the server counted it. >= 0."""
    recall_no: int = 0
    """Number of the latest recall; 0: none."""
    remaining_us: int | None = NEVER
    """How long it may be used, microseconds from the moment the request was sent; None: until it
    is recalled."""
    starts_after_us: int = 0
    """How long until it may be used, microseconds; 0: at once."""
    rate_per_minute: int = 0
    """Share of a rate; 0 for other kinds."""
    burst: int = 0
    """Share of a rate's burst; 0 for other kinds."""
    is_closed: bool = False
    """Whether it will never be granted more."""


def sync_attempted(state: Positions, *, fresh_nonce: bytes) -> Positions:
    """Returns the state to be stored before a sync is sent.

    One that was not answered, or was cancelled, is repeated under its own number and nonce; its
    counters may be newer.

    Args:
        state: With an open session.
        fresh_nonce: 16 random bytes, used where no attempt waits for its answer.
    """
    if state.nonce:
        return state
    return replace(state, sync_no=state.sync_no + 1, nonce=fresh_nonce)


def sync_answered(
    state: Positions,
    *,
    outcome: SyncOutcome,
    session_no: int,
    attempt_nonce: bytes,
    fresh_disk_id: bytes,
) -> Positions:
    """Returns the state after a sync was answered; `session_no` 0 asks for a new session.

    The answer to any but the latest attempt is dropped.

    Args:
        state: Before the answer.
        outcome: What the server said.
        session_no: That the attempt named.
        attempt_nonce: Of the attempt that is answered.
        fresh_disk_id: 16 random bytes, used where the identity is taken.
    """
    if not is_latest(state, session_no=session_no, attempt_nonce=attempt_nonce):
        return state
    if outcome is SyncOutcome.DONE:
        return replace(state, nonce=b"")
    if outcome is SyncOutcome.FENCED:
        # The number was not taken: the session that follows is opened under it.
        return replace(state, session_no=0)
    return replace(
        state,
        disk_id=fresh_disk_id,
        previous_disk_id=state.disk_id,
        session_no=0,
        sync_no=0,
        nonce=b"",
    )


def is_latest(state: Positions, *, session_no: int, attempt_nonce: bytes) -> bool:
    """Tells whether an answer is to the latest attempt: the agent heeds no other."""
    return bool(state.nonce) and (state.session_no, state.nonce) == (session_no, attempt_nonce)


def with_news(lease: Lease | None, *, news: LeaseNews, sent_at_us: int, now_us: int) -> Lease:
    """Returns a lease after the server told of it, recalls answered.

    A lease that is not on record is adopted with what the server knows of its use. Only answers to
    SyncLeases and OpenSession of the current session may bring one; that of AcquireLease names
    ids that were written before the call.

    Args:
        lease: As it is on record; None where it is not.
        news: What the server said.
        sent_at_us: Clock of leases when the request was sent: its time counts from there.
        now_us: Clock of leases now.
    """
    if lease is None:
        lease = Lease(
            lease_id=news.lease_id,
            customer_id=news.customer_id,
            limit_key=news.limit_key,
            window_id=news.window_id,
            granted=max(news.granted, news.returned + news.settled),
            returned=news.returned,
            consumed=news.settled,
            filled_at_us=now_us,
        )
        if news.rate_per_minute or news.burst:
            lease = replace(lease, granted=0, returned=0, consumed=0)
    if lease.is_given_up:
        return replace(lease, recall_no=max(lease.recall_no, news.recall_no))
    ends = None if news.remaining_us is None else sent_at_us + news.remaining_us
    is_closed = lease.is_closed or news.is_closed
    before = refilled(lease, now_us=now_us) if lease.is_share else lease
    lease = replace(
        before,
        usable_from_us=sent_at_us + news.starts_after_us if news.starts_after_us else 0,
        usable_until_us=0 if is_closed else ends,
        is_closed=is_closed,
    )
    # An answer from before a recall may come last: the share went back and belongs to others.
    if (news.rate_per_minute or news.burst) and news.recall_no >= lease.recall_no:
        lease = _with_share(lease, news=news, now_us=now_us)
    lease = replace(lease, granted=max(lease.granted, news.granted))
    if not lease.is_share:
        lease = _with_settled(lease, settled=news.settled)
    lease = recalled(lease, recall_no=news.recall_no)
    return lease_expired(lease) if is_closed else lease


def _with_settled(lease: Lease, *, settled: int) -> Lease:
    """Returns the lease with at least as much consumed as the server has counted.

    The server can have counted more only where this disk went back, or a copy of it spent.
    """
    bearable = lease.granted - lease.returned - lease.held
    return replace(lease, consumed=max(lease.consumed, min(settled, bearable)))


def _with_share(lease: Lease, *, news: LeaseNews, now_us: int) -> Lease:
    """Returns a share of a rate at its new size; what was put into its bucket anew is added."""
    added = max(news.granted - lease.granted, 0) * US_PER_MINUTE
    return replace(
        lease,
        rate_per_minute=news.rate_per_minute,
        burst=news.burst,
        tokens_us=min(lease.tokens_us + added, news.burst * US_PER_MINUTE),
        filled_at_us=max(lease.filled_at_us, now_us),
    )


def run_out(leases: Iterable[Lease], *, now_us: int) -> tuple[Lease, ...]:
    """Returns the leases whose time is over and that change by it, closed.

    One that is closed is among them where something came free of it since, whoever closed it and
    when: whoever looks again at once finds nothing. A lease that was never confirmed in this
    process is not among them: its time is not known.
    """
    over = (
        (lease, lease_expired(lease))
        for lease in leases
        if lease.is_closed or (lease.usable_until_us and now_us >= lease.usable_until_us)
    )
    return tuple(closed for lease, closed in over if closed != lease)


def idle_returned(lease: Lease, *, keep: int) -> Lease:
    """Returns the lease after the agent gave back, unasked, what it no longer needs.

    Args:
        lease: The lease.
        keep: What to keep of what is free: the float. >= 0.
    """
    if lease.is_share or lease.free <= keep:
        return lease
    return replace(lease, returned=lease.returned + lease.free - keep)


def given_up(leases: Sequence[Lease]) -> tuple[Lease, ...]:
    """Returns the leases of a disk that had to take another id: unusable, and never returned.

    Another copy of the disk may be spending them.
    """
    return tuple(
        replace(lease, usable_until_us=0, is_closed=True, is_given_up=True) for lease in leases
    )


def may_forget(lease: Lease, *, last_event_seq: int, deletable_seq: int) -> bool:
    """Tells whether the row of a lease whose window has ended, or never ends, may be deleted.

    A row that is forgotten earlier could come back, unspent, from a restored server.

    Args:
        lease: The lease; of a window that never ends only once no backup of the server has it open.
        last_event_seq: Position of the last event that names it; 0 where none does.
        deletable_seq: Events at or below it are applied, safe and older than the time for which
            they are kept for a replay.
    """
    is_left = lease.held or (lease.free and not (lease.is_share or lease.is_given_up))
    return lease.is_closed and not is_left and last_event_seq <= deletable_seq
