"""How often syncs are sent: seldom, and at once where a recall was answered."""

from dataclasses import dataclass
from typing import Final

SYNCS_PER_SECOND: Final = 0.9
"""Below one, so that the burst and the one sync that is calm are within one a second too: at most
`SYNC_BURST + 1 + 60 * 0.9 = 58` in any minute, and no more than one a second in any 40 s."""
SYNC_BURST: Final = 3.0
"""Syncs that may follow each other at once."""
RECALLS_PER_SECOND: Final = 10.0
"""Syncs that answer a recall, which do not count among the others: somebody waits for them."""


@dataclass(frozen=True, slots=True)
class Turn:
    """When to send the next sync, and how."""

    wait_seconds: float
    """How long to wait before it is sent, >= 0."""
    calm_seconds: float
    """How long grants are not to end it, >= 0: it listens for recalls meanwhile."""


class SyncPace:
    """Gives each sync its turn.

    A sync is sent as soon as the one before it was answered, so that the agent always hears of
    recalls; where that would be too often, it asks not to be answered with mere grants for a while.
    """

    def __init__(self) -> None:
        self._tokens = SYNC_BURST
        self._refilled_at = 0.0
        self._owed_at = 0.0

    def turn(self, *, now: float) -> Turn:
        """Returns the turn of a sync.

        Args:
            now: Monotonic clock, seconds.
        """
        wait = self.delay(now=now)
        self._tokens = min(self._tokens, SYNC_BURST) + wait * SYNCS_PER_SECOND - 1
        self._refilled_at = now + wait
        return Turn(wait, max(0.0, -self._tokens / SYNCS_PER_SECOND))

    def owed_turn(self, *, now: float) -> Turn:
        """Returns the turn of a sync that answers a recall.

        Args:
            now: Monotonic clock, seconds.
        """
        self._owed_at = max(now, self._owed_at + 1 / RECALLS_PER_SECOND)
        return Turn(self._owed_at - now, self.delay(now=self._owed_at))

    def delay(self, *, now: float) -> float:
        """Returns how long it is until a sync may be sent that nobody waits for, seconds.

        Args:
            now: Monotonic clock, seconds.
        """
        passed = max(now - self._refilled_at, 0.0)
        self._tokens = min(SYNC_BURST, self._tokens + passed * SYNCS_PER_SECOND)
        self._refilled_at = max(now, self._refilled_at)
        return max(0.0, -self._tokens / SYNCS_PER_SECOND)
