"""Positions, sessions and shipping as functions of (state, input): protocol section 3.

Every event has a position. The rows from `earliest_kept_seq` to `next_seq - 1` lie on disk without
a hole; those up to `applied_seq` are known to be applied because this agent got the ack of a call
that carried them. What the server claims beyond that is never taken as proof: such rows are sent
again under their own numbers, and the server's unique key makes that safe.
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
    """Position of its first event."""
    last_seq: int
    """Position of its last event."""


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


def session_opened(state: Positions, answer: SessionAnswer) -> Positions:
    """Returns the state after OpenSession was answered.

    A new incarnation means that the server went back to a backup: every row kept is sent again.
    A server position behind the agent's own means the same for what lies between. One ahead of it
    is first of all a lost ack: the rows are sent again and marked by their own ack.
    """
    applied_seq = state.applied_seq
    if state.server_incarnation not in ("", answer.server_incarnation):
        applied_seq = state.earliest_kept_seq - 1
    elif answer.applied_seq < applied_seq:
        applied_seq = max(answer.applied_seq, state.earliest_kept_seq - 1)
    return replace(
        state,
        agent_id=answer.agent_id,
        session_no=answer.session_no,
        server_incarnation=answer.server_incarnation,
        nonce=b"",
        applied_seq=applied_seq,
        safe_seq=answer.safe_seq,
    )


def push_answered(state: Positions, *, sent: PushSent, answer: PushAnswer) -> Positions:
    """Returns the state after a push was answered; `session_no` 0 asks for a new session.

    An answer to a call of an older session or incarnation is dropped: nothing follows from it.
    """
    if (sent.session_no, sent.server_incarnation) != (state.session_no, state.server_incarnation):
        return state
    if answer.outcome is PushOutcome.FENCED:
        return replace(state, session_no=0)
    if answer.server_incarnation != state.server_incarnation:
        return replace(state, session_no=0)
    if answer.outcome is PushOutcome.GAP:
        return _after_gap(state, server_applied_seq=answer.applied_seq)
    applied_seq = state.applied_seq
    if sent.first_seq <= applied_seq + 1:
        applied_seq = max(applied_seq, sent.last_seq)
    return replace(state, applied_seq=applied_seq, safe_seq=answer.safe_seq)


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

    Args:
        attempt: As it lies on disk.
        set_aside_seq: Position that was set aside last by this process; 0 where none was.
    """
    if attempt.applied_seq != set_aside_seq:
        return attempt
    return replace(attempt, earliest_kept_seq=max(attempt.earliest_kept_seq, set_aside_seq + 1))


def _after_gap(state: Positions, *, server_applied_seq: int) -> Positions:
    """Goes back to where the server stands; what is no longer kept needs a session to declare."""
    earliest = state.earliest_kept_seq
    applied_seq = min(state.applied_seq, max(server_applied_seq, earliest - 1))
    is_declaration_needed = server_applied_seq + 1 < earliest
    return replace(
        state,
        applied_seq=applied_seq,
        session_no=0 if is_declaration_needed else state.session_no,
    )
