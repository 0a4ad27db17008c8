"""Whether a push is applied, as a decision over numbers: protocol section 3."""

from dataclasses import dataclass
from enum import Enum

RETRY_CALLS_MIN = 8
"""Pushes in hand up to which no agent is asked to wait: half of the threads that serve them."""
RETRY_MS_PER_CALL = 50
"""What a further push in hand adds to the wait: about what one transaction takes."""
RETRY_MS_MAX = 5_000


class PushState(Enum):
    """What becomes of a push."""

    APPLIED = "applied"
    """Every event of the call is applied."""
    FENCED = "fenced"
    """The session or incarnation is not the current one: nothing changes."""
    GAP = "gap"
    """The first position leaves a hole after the applied one: nothing changes."""


@dataclass(frozen=True, slots=True)
class PushDecision:
    """What to do about a push."""

    state: PushState
    """What becomes of it."""
    applied_seq: int
    """Highest position applied once it is done. >= 0."""


def decide_push(
    *,
    server: tuple[str, int],
    named: tuple[str, int],
    applied_seq: int,
    first_seq: int,
    event_count: int,
) -> PushDecision:
    """Returns what to do about a push. Every event of one that is applied is looked at by its key.

    Args:
        server: The server's incarnation and the current session of the agent's disk; 0 where it has
            none.
        named: The incarnation and session that the push names.
        applied_seq: Highest position applied from the disk. >= 0.
        first_seq: Position of the push's first event. >= 1.
        event_count: Events of the push. >= 0.
    """
    if named != server or server[1] == 0:
        return PushDecision(PushState.FENCED, applied_seq)
    if first_seq > applied_seq + 1:
        return PushDecision(PushState.GAP, applied_seq)
    return PushDecision(PushState.APPLIED, max(applied_seq, first_seq + event_count - 1))


def retry_after_ms(pushes_in_hand: int) -> int:
    """Returns how long an agent should wait before its next push, in milliseconds; 0: not at all.

    Args:
        pushes_in_hand: Pushes that the server works on, this one included. >= 1.
    """
    over = pushes_in_hand - RETRY_CALLS_MIN
    return min(max(over, 0) * RETRY_MS_PER_CALL, RETRY_MS_MAX)
