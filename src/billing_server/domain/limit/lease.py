"""A lease as the server keeps it: a share of one window of a limit, with counters that only rise.

What a message says about a lease is absolute, so it may be lost, doubled or late: of each counter
the maximum is kept. What may still be used of a lease is its `rest`, and the state says into which
term of the escrow that rest counts.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class WindowKey(NamedTuple):
    """Which window of which limit of which customer."""

    customer_id: str
    limit_key: str
    window_id: str


class LeaseState(StrEnum):
    """Which term of the escrow a lease's rest belongs to."""

    LIVE = "live"
    """Taken: it may be used."""
    RECLAIMED = "reclaimed"
    """Unknown: it was given to others although it may have been used."""
    WRITTEN_OFF = "written_off"
    """Presumed used: its agent is lost."""
    CLOSED = "closed"
    """Nothing is left in it, and nothing is granted to it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A share of a window that one agent's disk holds. The three counters only ever rise."""

    lease_id: bytes
    """16 bytes, unique."""
    key: WindowKey
    """Of which window; with an empty limit key where only a debit has named the lease so far."""
    agent_ref: int
    """The disk that holds it."""
    state: LeaseState = LeaseState.LIVE
    """Which term of the escrow its rest belongs to."""
    granted: int = 0
    """Granted in all. >= 0."""
    returned: int = 0
    """Given back in all, as the agent told. >= 0."""
    settled: int = 0
    """Debited in all by events that were counted. >= 0."""
    consumed: int = 0
    """Consumed in all by events on the agent's disk, as it last told. >= 0."""
    held: int = 0
    """Held by reservations, as it last told. >= 0."""
    recall_no: int = 0
    """Number of the latest recall; 0: none."""
    answered_recall_no: int = 0
    """The latest one that the agent has answered."""
    rate_per_minute: int = 0
    """Share of a rate, in the smallest unit a minute; 0 for other kinds."""
    burst: int = 0
    """Share of a rate's burst; 0 for other kinds."""
    expire_time: datetime | None = None
    """When the server takes it for over, UTC; None: it has no time to live."""
    report_time: datetime | None = None
    """When the agent last told of it, UTC; None: never yet."""
    create_time: datetime
    """When it was granted first, UTC."""
    told_in: int | None = 0
    """Number of the sync whose answer told the agent of its latest change; None: not told yet."""

    @property
    def rest(self) -> int:
        """What may still be used, or be given back. >= 0."""
        return max(0, self.granted - self.returned - self.settled)

    @property
    def free(self) -> int:
        """What the agent could give back at once, as it last told. >= 0."""
        used = max(self.consumed, self.settled)
        return max(0, self.granted - self.returned - used - self.held)

    @property
    def is_live(self) -> bool:
        """Whether it may be used."""
        return self.state is LeaseState.LIVE

    @property
    def is_recalled(self) -> bool:
        """Whether a recall waits for its answer."""
        return self.recall_no > self.answered_recall_no


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseReport:
    """What an agent tells of one lease, absolute."""

    granted: int
    """As it knows."""
    returned: int
    """As it wrote before it sent."""
    consumed: int
    """By events on its disk."""
    held: int
    """By reservations now."""
    recall_no: int = 0
    """The latest recall that it has answered."""
    is_closed: bool = False
    """Whether it takes nothing new from it."""

    @property
    def free(self) -> int:
        """What the agent may still use of it without asking. >= 0."""
        return max(0, self.granted - self.returned - self.consumed - self.held)


def reported(lease: Lease, *, report: LeaseReport, now: datetime) -> Lease:
    """Returns the lease after its agent told of it.

    An agent may know of more than the server: one that was restored from a backup adopts what the
    agent was granted, so that its rest is escrowed again.
    """
    told = replace(
        lease,
        granted=max(lease.granted, report.granted),
        returned=max(lease.returned, report.returned),
        consumed=max(lease.consumed, report.consumed),
        held=report.held,
        answered_recall_no=max(lease.answered_recall_no, report.recall_no),
        recall_no=max(lease.recall_no, report.recall_no),
        report_time=now,
    )
    return closed_if_done(told) if report.is_closed or not told.is_live else told


def granted(lease: Lease, *, amount: int) -> Lease:
    """Returns the lease after `amount` (>= 0) more was granted to it. Only a live one is."""
    return replace(lease, granted=lease.granted + amount)


def debited(lease: Lease, *, amount: int) -> Lease:
    """Returns the lease after an event that was counted took `amount` (>= 0) from it."""
    told = replace(lease, settled=lease.settled + amount)
    return told if told.is_live else closed_if_done(told)


def bearable(lease: Lease, *, amount: int) -> int:
    """Returns what of a debit the lease can bear, 0..amount; what it cannot is overrun."""
    return min(amount, lease.rest)


def recalled(lease: Lease) -> Lease:
    """Returns the lease with a recall that waits for its answer."""
    return lease if lease.is_recalled else replace(lease, recall_no=lease.recall_no + 1)


def reclaimed(lease: Lease) -> Lease:
    """Returns the lease after its silence freed it for others: what it holds is unknown.

    It stays so for good and is recalled: its agent, should it come back, gets another lease.
    """
    return recalled(replace(lease, state=LeaseState.RECLAIMED)) if lease.is_live else lease


def written_off(lease: Lease) -> Lease:
    """Returns the lease after its agent was declared lost: what it holds is presumed used."""
    if lease.state is LeaseState.CLOSED:
        return lease
    return recalled(replace(lease, state=LeaseState.WRITTEN_OFF))


def released(lease: Lease) -> tuple[Lease, int]:
    """Returns a written-off lease as an operator releases it, and what the bound grows by."""
    if lease.state is not LeaseState.WRITTEN_OFF:
        return lease, 0
    return replace(lease, state=LeaseState.CLOSED), lease.rest


def closed_if_done(lease: Lease) -> Lease:
    """Returns the lease, closed where nothing is left in it.

    Its row stays until its window has ended: an event that comes late finds its counters.
    """
    return lease if lease.rest else replace(lease, state=LeaseState.CLOSED)
