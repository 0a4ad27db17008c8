"""Positions, sessions and shipping as functions of (state, input): protocol section 3.

Every event has a position. The rows from `earliest_kept_seq` to `next_seq - 1` lie on disk without
a hole; those up to `applied_seq` are known to be applied because this agent got the ack of a call
that carried them. What the server claims beyond that is never taken as proof: such rows are sent
again under their own numbers, and the server's unique key makes that safe.

Two numberings meet here. On disk an event keeps the number it was given for good; the position
that the server sees is that number plus `seq_offset`. Numbering rows anew, as a restored server or
a disk that went back asks for, changes the offset alone: no row is rewritten, however long the
backlog. All functions take and give numbers on disk; what a server answers is in its positions.
"""

from dataclasses import dataclass, replace
from enum import Enum


@dataclass(frozen=True, slots=True)
class Positions:
    """What the agent knows about its place in the stream, as it lies on disk."""

    disk_id: bytes
    """Identity of the disk, 16 random bytes."""
    agent_id: str = ""
    """As the server enrolled it; empty before the first session."""
    server_incarnation: str = ""
    """Identity of the server's data; empty before the first session."""
    session_no: int = 0
    """Number of the open session; 0 where none is open."""
    sync_no: int = 0
    """Number of the latest session attempt, >= 0."""
    nonce: bytes = b""
    """Nonce of a session attempt that was not answered yet; empty where none waits."""
    earliest_kept_seq: int = 1
    """Lowest position on disk; `next_seq` where there is none."""
    next_seq: int = 1
    """Position that the next event will get."""
    applied_seq: int = 0
    """Highest position known to be applied, by an ack of a call that carried it."""
    safe_seq: int = 0
    """Rows at or below it, and applied, may be deleted."""
    seq_offset: int = 0
    """What is added to a number on disk to make the position that the server sees, >= 0."""
    previous_disk_id: bytes = b""
    """Disk id that this one took over from, because it was taken; empty where it is the first."""

    @property
    def buffered_count(self) -> int:
        """Events on disk that are not known to be applied."""
        return self.next_seq - 1 - self.applied_seq

    @property
    def deletable_seq(self) -> int:
        """Highest position that may be deleted."""
        return min(self.applied_seq, self.safe_seq)


@dataclass(frozen=True, slots=True)
class SessionAnswer:
    """What the server said to OpenSession."""

    agent_id: str
    """As enrolled."""
    session_no: int
    """Number of the new session, >= 1."""
    server_incarnation: str
    """Identity of the server's data."""
    applied_seq: int
    """Highest position that the server has applied, >= 0."""
    safe_seq: int
    """Highest position that is safe at the server, >= 0."""


class PushOutcome(Enum):
    """What became of one push."""

    APPLIED = "applied"
    """Every event of the call is applied."""
    FENCED = "fenced"
    """The session is not the current one: a session must be opened."""
    GAP = "gap"
    """The call would leave a hole after the server's position."""


@dataclass(frozen=True, slots=True)
class PushSent:
    """One push as it was sent."""

    session_no: int
    """Session that it named."""
    server_incarnation: str
    """Incarnation that it named."""
    first_seq: int
    """Number of its first event."""
    last_seq: int
    """Number of its last event; `first_seq - 1` where it carried none."""
    seq_offset: int = 0
    """Offset of the numbering that it was sent under."""


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """What the server said to a push."""

    outcome: PushOutcome
    """What became of it."""
    server_incarnation: str
    """Identity of the server's data."""
    applied_seq: int
    """Highest position that the server has applied, >= 0."""
    safe_seq: int
    """Highest position that is safe at the server, >= 0."""


def appended(state: Positions, *, event_count: int) -> Positions:
    """Returns the state after `event_count` (>= 1) events were made durable."""
    return replace(state, next_seq=state.next_seq + event_count)


def deleted(state: Positions, *, earliest_kept_seq: int) -> Positions:
    """Returns the state after the rows below `earliest_kept_seq` were deleted."""
    return replace(state, earliest_kept_seq=max(state.earliest_kept_seq, earliest_kept_seq))


def session_attempted(state: Positions, *, fresh_nonce: bytes) -> Positions:
    """Returns the state to be stored before OpenSession is sent.

    An attempt that was not answered is repeated under its own number and nonce, so that a server
    that heard it and one that did not both see one attempt.

    Args:
        state: Before the attempt.
        fresh_nonce: 16 random bytes, used where no attempt waits for its answer.
    """
    if state.nonce:
        return replace(state, session_no=0)
    return replace(state, session_no=0, sync_no=state.sync_no + 1, nonce=fresh_nonce)


def session_lost(state: Positions) -> Positions:
    """Returns the state after something other than a push told that the session is not current."""
    return replace(state, session_no=0)


def session_opened(
    state: Positions, answer: SessionAnswer, *, attempt_nonce: bytes, fresh_disk_id: bytes
) -> Positions:
    """Returns the state after OpenSession was answered; `session_no` 0 asks for another session.

    A new incarnation means that the server went back to a backup: every row kept is sent again. A
    server position behind the agent's own means the same for what lies between. One ahead of it is
    first of all a lost ack: the rows are sent again and marked by their own ack. Only one that no
    row here ever had means that this disk went back, or that a copy of it shipped meanwhile: what
    was not shipped is numbered anew from there, under another disk id.

    Args:
        state: Before the answer.
        answer: In the server's positions.
        attempt_nonce: Of the attempt that is answered; the answer to an older one is dropped.
        fresh_disk_id: 16 random bytes, used where the disk needs another id.
    """
    if not state.nonce or state.nonce != attempt_nonce:
        return state
    opened = replace(
        state,
        agent_id=answer.agent_id,
        session_no=answer.session_no,
        server_incarnation=answer.server_incarnation,
        nonce=b"",
    )
    if state.server_incarnation not in ("", answer.server_incarnation):
        return _send_all_again(opened, answer=answer)
    server_applied = answer.applied_seq - state.seq_offset
    if server_applied >= state.next_seq:
        seq_offset = answer.applied_seq - state.applied_seq
        return replace(
            _under_another_disk_id(opened, fresh_disk_id=fresh_disk_id), seq_offset=seq_offset
        )
    applied_seq = state.applied_seq
    if server_applied < applied_seq:
        applied_seq = max(server_applied, state.earliest_kept_seq - 1)
    safe_seq = answer.safe_seq - state.seq_offset
    return replace(opened, applied_seq=applied_seq, safe_seq=max(safe_seq, 0))


def identity_taken(state: Positions, *, attempt_nonce: bytes, fresh_disk_id: bytes) -> Positions:
    """Returns the state after the server refused an attempt because this disk id is used elsewhere.

    The disk was rolled back or copied. What it holds is shipped under another disk id; nothing that
    is buffered changes.

    Args:
        state: Before the refusal.
        attempt_nonce: Of the attempt that was refused; the refusal of an older one is dropped.
        fresh_disk_id: 16 random bytes.
    """
    if not state.nonce or state.nonce != attempt_nonce:
        return state
    return _under_another_disk_id(state, fresh_disk_id=fresh_disk_id)


def push_answered(state: Positions, *, sent: PushSent, answer: PushAnswer) -> Positions:
    """Returns the state after a push was answered; `session_no` 0 asks for a new session.

    An answer to a call of an older session or incarnation is dropped: nothing follows from it. A
    hole is never skipped: the next session tells both sides where they stand, and declares what is
    no longer kept.
    """
    if (sent.session_no, sent.server_incarnation) != (state.session_no, state.server_incarnation):
        return state
    if answer.outcome is not PushOutcome.APPLIED:
        return replace(state, session_no=0)
    if answer.server_incarnation != state.server_incarnation:
        return replace(state, session_no=0)
    applied_seq = state.applied_seq
    if sent.first_seq <= applied_seq + 1:
        applied_seq = max(applied_seq, sent.last_seq)
    safe_seq = answer.safe_seq - state.seq_offset
    return replace(state, applied_seq=applied_seq, safe_seq=max(safe_seq, 0))


def set_aside(state: Positions, *, sent: PushSent) -> Positions:
    """Returns the state after a push of one event was refused for good and the event set aside.

    The position is done with at the agent, not at the server: `session_no` 0 asks for a session,
    which tells the server that what it gets next begins behind it.
    """
    if sent.first_seq != state.applied_seq + 1:
        return state
    return replace(state, applied_seq=sent.last_seq, session_no=0)


def told_behind(attempt: Positions, *, set_aside_seq: int) -> Positions:
    """Returns a session attempt as it is told to the server: what was set aside is not offered.

    Nor is it told as applied, which it is not: a server that hears of more than it has applied
    takes itself for restored from a backup.

    Args:
        attempt: As it lies on disk.
        set_aside_seq: Position that was set aside last by this process; 0 where none was.
    """
    if set_aside_seq == 0 or attempt.applied_seq != set_aside_seq:
        return attempt
    return replace(
        attempt,
        applied_seq=set_aside_seq - 1,
        earliest_kept_seq=max(attempt.earliest_kept_seq, set_aside_seq + 1),
    )


def _send_all_again(state: Positions, *, answer: SessionAnswer) -> Positions:
    """Marks every row as unapplied and numbers them from after the restored server's position."""
    earliest = state.earliest_kept_seq
    seq_offset = answer.applied_seq + 1 - earliest
    safe_seq = answer.safe_seq - seq_offset
    return replace(
        state, applied_seq=earliest - 1, seq_offset=seq_offset, safe_seq=max(safe_seq, 0)
    )


def _under_another_disk_id(state: Positions, *, fresh_disk_id: bytes) -> Positions:
    return replace(
        state,
        disk_id=fresh_disk_id,
        previous_disk_id=state.disk_id,
        session_no=0,
        sync_no=0,
        nonce=b"",
    )
