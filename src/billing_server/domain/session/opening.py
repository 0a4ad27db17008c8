"""Opening a session as a decision over numbers: protocol section 3.

The server keeps one stream of positions for each disk of an agent. A disk that was rolled back or
copied is refused once (`TAKEN`), takes another id, and gets a stream of its own: so two live copies
both ship, and neither ever fences the other.
"""

from dataclasses import dataclass, replace
from enum import Enum


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What the server knows of one disk of an agent."""

    disk_id: bytes
    """Identity of the disk."""
    session_no: int
    """Its current session, >= 1. Calls of any other session are fenced."""
    session_nonce: bytes
    """Nonce by which that session was opened."""
    sync_no: int
    """The disk's own count of sessions and syncs, as last accepted. >= 0."""
    applied_seq: int
    """Highest position that was applied. >= 0."""
    sync_nonce: bytes = b""
    """Nonce of the call that has the number `sync_no`; empty: the session's own."""
    previous_nonce: bytes = b""
    """Nonce of the number before it, which an acquisition may still name; empty: none in this
    session."""

    @property
    def latest_nonce(self) -> bytes:
        """Nonce of the session or sync that was accepted last."""
        return self.sync_nonce or self.session_nonce


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Where an agent says that it stands."""

    disk_id: bytes
    """Identity of its disk."""
    nonce: bytes
    """Of this attempt; a repeat with the same one gets the same session."""
    sync_no: int
    """The disk's own count, 1 at its first attempt, raised only after an answer. >= 0."""
    applied_seq: int
    """Highest position that it knows to be applied, by its own acks. >= 0."""
    earliest_kept_seq: int
    """Lowest position that it keeps; that of its next event where it keeps none. >= 1."""
    incarnation: str = ""
    """The server's incarnation as it last heard it; empty before its first session."""
    previous_disk_id: bytes = b""
    """Disk id that it gave up because it was taken; empty where there was none."""


class OpeningAction(Enum):
    """What to do about an attempt."""

    REPEAT = "repeat"
    """The attempt was answered before: the same session again."""
    CONTINUE = "continue"
    """A new session of a known disk."""
    REPLACE_DISK = "replace_disk"
    """A new disk under the agent's name: the one before it is gone."""
    ADD_STREAM = "add_stream"
    """A disk that gave up a taken id: a stream beside the one it came from."""
    TAKEN = "taken"
    """The disk's own count does not go on from what was heard: refuse, change nothing."""


@dataclass(frozen=True, slots=True)
class OpeningDecision:
    """What to write and to answer."""

    action: OpeningAction
    """What to do."""
    applied_seq: int = 0
    """Highest position that counts as applied from now on, losses included. >= 0."""
    lost: tuple[int, int] | None = None
    """First and last position that nobody can send any more; None where nothing is lost."""
    is_server_behind: bool = False
    """Whether this server must have gone back to a backup: it needs a new incarnation."""


def decide_opening(
    opening: Opening, *, incarnation: str, stream: Stream | None, previous: Stream | None
) -> OpeningDecision:
    """Returns what to do about an attempt to open a session.

    Args:
        opening: Where the agent says that it stands.
        incarnation: The server's own.
        stream: What is known of the agent's disk; None where it is unknown.
        previous: What is known of the disk that it gave up; None where there is none.
    """
    if stream is not None:
        is_latest = (opening.sync_no, opening.nonce) == (stream.sync_no, stream.latest_nonce)
        if opening.sync_no <= stream.sync_no and not is_latest:
            return OpeningDecision(OpeningAction.TAKEN, applied_seq=stream.applied_seq)
        # A sync that was not answered hands its number and nonce on to the session after it.
        is_repeat = is_latest and opening.nonce == stream.session_nonce
        action = OpeningAction.REPEAT if is_repeat else OpeningAction.CONTINUE
    elif opening.previous_disk_id:
        action = OpeningAction.ADD_STREAM
    else:
        action = OpeningAction.REPLACE_DISK
    origin = stream or previous
    known_seq = 0 if origin is None else origin.applied_seq
    is_behind = _is_server_behind(
        opening, incarnation=incarnation, stream=stream, known_seq=known_seq
    )
    if stream is None and not is_behind and opening.incarnation == incarnation:
        # A disk under another id: what it shipped as the old one is not asked for again.
        known_seq = opening.applied_seq
    last_lost = opening.earliest_kept_seq - 1
    if last_lost <= known_seq:
        return OpeningDecision(action, known_seq, None, is_behind)
    return OpeningDecision(action, last_lost, (known_seq + 1, last_lost), is_behind)


def opened_stream(opening: Opening, *, decision: OpeningDecision, session_no: int) -> Stream:
    """Returns what is known of the disk once its session is open.

    Args:
        opening: The attempt.
        decision: What was decided about it, not `TAKEN`.
        session_no: A number that no disk of this agent ever had, or the same on a repeat.
    """
    return Stream(
        disk_id=opening.disk_id,
        session_no=session_no,
        session_nonce=opening.nonce,
        sync_no=opening.sync_no,
        applied_seq=decision.applied_seq,
    )


def synced(stream: Stream, *, sync_no: int, nonce: bytes) -> Stream:
    """Returns what is known of a disk after a sync of its leases was accepted.

    Args:
        stream: Before it.
        sync_no: Of the sync; the stored number again changes nothing.
        nonce: Of the sync.
    """
    if sync_no == stream.sync_no:
        return stream
    return replace(stream, sync_no=sync_no, sync_nonce=nonce, previous_nonce=stream.latest_nonce)


def advanced(stream: Stream, *, applied_seq: int) -> Stream:
    """Returns what is known of a disk after a push was applied."""
    return replace(stream, applied_seq=applied_seq)


def _is_server_behind(
    opening: Opening, *, incarnation: str, stream: Stream | None, known_seq: int
) -> bool:
    """Tells whether the agent remembers more than this incarnation of the server ever did."""
    if opening.incarnation != incarnation:
        return False
    if opening.applied_seq > known_seq:
        return True
    # The count of a disk advances only after an answer: whoever counts further was answered.
    return opening.sync_no > (0 if stream is None else stream.sync_no) + 1
