"""Which sync of an agent's disk counts, as a decision over numbers: protocol section 1.

Sessions and syncs of a disk share one numbering, which the agent writes before it sends and raises
only after an answer. So a number that comes again with another nonce, or that lies behind, comes
from a copy of the disk or from one that went back: it changes nothing and is told so.
"""

from enum import Enum

from billing_server.domain.session.opening import Stream


class SyncState(Enum):
    """What becomes of a call about leases."""

    ACCEPTED = "accepted"
    """It counts."""
    REPEATED = "repeated"
    """The same as before, with counters that may be newer: it counts, and takes no number."""
    FENCED = "fenced"
    """The session or incarnation is not the current one, or the agent was answered numbers that
    this server does not know, so it went back to a backup: nothing changes, and the session that
    follows finds out."""
    IDENTITY_TAKEN = "identity_taken"
    """Another copy of the disk has this number, or the disk went back: nothing changes."""


def decide_sync(
    stream: Stream | None,
    *,
    server_incarnation: str,
    named: tuple[str, int],
    sync_no: int,
    nonce: bytes,
) -> SyncState:
    """Returns what becomes of a SyncLeases call.

    Args:
        stream: What is known of the disk; None: nothing.
        server_incarnation: The server's own.
        named: The incarnation and session that the call names.
        sync_no: That it carries.
        nonce: That it carries.
    """
    if stream is None or named != (server_incarnation, stream.session_no):
        return SyncState.FENCED
    if sync_no == stream.sync_no and nonce == stream.latest_nonce:
        return SyncState.REPEATED
    if sync_no == stream.sync_no + 1:
        return SyncState.ACCEPTED
    return SyncState.FENCED if sync_no > stream.sync_no else SyncState.IDENTITY_TAKEN


def decide_acquire(
    stream: Stream | None,
    *,
    server_incarnation: str,
    named: tuple[str, int],
    sync_no: int,
    nonce: bytes,
) -> SyncState:
    """Returns what becomes of an AcquireLease call: it names the last answered sync.

    A sync that waits for its answer has taken the next number already, so an acquisition of the
    number before it counts as well; only that one's nonce is then known no more.

    Args:
        stream: What is known of the disk; None: nothing.
        server_incarnation: The server's own.
        named: The incarnation and session that the call names.
        sync_no: That it carries.
        nonce: That it carries.
    """
    if stream is None or named != (server_incarnation, stream.session_no):
        return SyncState.FENCED
    if (sync_no, nonce) in {
        (stream.sync_no, stream.latest_nonce),
        (stream.sync_no - 1, stream.previous_nonce),
    }:
        return SyncState.ACCEPTED
    return SyncState.FENCED if sync_no > stream.sync_no else SyncState.IDENTITY_TAKEN
