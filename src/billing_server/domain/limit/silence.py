"""What becomes of leases of agents that are silent, came back on another disk, or are forgotten."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from billing_server.domain.limit.lease import Lease, LeaseState, reclaimed, written_off
from billing_server.domain.limit.shares import server_expiry
from metering.limits import LimitKind, SilencePolicy

SILENT_AFTER: Final = timedelta(seconds=30)
"""An agent that has not synced for so long is silent: three times the longest sync."""
LOST_AGENT_AFTER: Final = timedelta(days=7)
"""An agent that was silent for so long is lost."""
LOST_EPHEMERAL_AFTER: Final = timedelta(hours=1)
"""The same for agents enrolled as ephemeral."""
RESTORE_QUARANTINE: Final = timedelta(minutes=10)
"""For so long a restored server grants nothing to windows whose agents it has not heard of."""


def after_silence(
    lease: Lease,
    *,
    unconfirmed: SilencePolicy,
    silent_for: timedelta,
    lost_after: timedelta = LOST_AGENT_AFTER,
) -> Lease:
    """Returns the lease of an agent that was not heard of.

    Of an agent that is still known by name, but whose disk is gone, `silent_for` counts from the
    last sync of that disk.

    Args:
        lease: Of the silent disk.
        unconfirmed: The limit's policy.
        silent_for: Since its disk last synced.
        lost_after: When it counts as lost; an operator who says so earlier has its leases
            written off at once.
    """
    if lease.state is LeaseState.CLOSED:
        return lease
    if silent_for >= lost_after:
        return written_off(lease)
    if unconfirmed is SilencePolicy.RECLAIM and silent_for >= SILENT_AFTER:
        return reclaimed(lease)
    return lease


def slots_are_free_at(
    lease: Lease, *, kind: LimitKind, max_hold: timedelta | None
) -> datetime | None:
    """Returns when the slots of a silent agent may be granted to others; None: only by loss.

    Until its share expired the agent may have begun a call, which then runs for `max_hold` at most.

    Args:
        lease: Slots.
        kind: Of the limit; other kinds are never freed by time.
        max_hold: How long a call runs at most; None: unknown, and the limit is approximate.
    """
    if kind is not LimitKind.CONCURRENCY or lease.expire_time is None:
        return None
    return lease.expire_time + (max_hold or timedelta(0))


def expire_time_from(now: datetime) -> datetime:
    """Returns when the server takes a lease with a time to live, answered now, for over."""
    return now + server_expiry()


def may_grant_after_restore(
    *, restored_at: datetime | None, now: datetime, unheard_refs: Iterable[int]
) -> bool:
    """Tells whether a server that came back from a backup may grant.

    What it granted after the backup is known to the agents alone: it waits until each has opened a
    session of the new incarnation, or the quarantine is over.

    Args:
        restored_at: When it came back; None: it never went.
        now: The time.
        unheard_refs: Known disks that have opened no session since.
    """
    if restored_at is None or now >= restored_at + RESTORE_QUARANTINE:
        return True
    return not any(True for _ in unheard_refs)
