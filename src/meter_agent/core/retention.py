"""How long applied rows are kept: a server restored from a backup is refilled from them."""

from dataclasses import dataclass
from typing import Final

REPLAY_PERCENT: Final = 25
"""Most of the disk budget that applied rows may take."""
_US_PER_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Retention:
    """When a row that is applied and safe goes."""

    seconds: int
    """How long after its receipt a row is kept, >= 0."""
    bytes_max: int
    """Bytes of events that all rows together may take, >= 1."""

    def replay_bytes_max(self, *, unapplied_bytes: int) -> int:
        """Returns how many bytes of applied rows may be kept.

        What waits for the server goes first: the more of it there is, the less is kept beside it,
        so that a full buffer is full of what is still needed.

        Args:
            unapplied_bytes: Bytes of the rows that wait for the server, >= 0.
        """
        room = max(0, self.bytes_max * 9 // 10 - unapplied_bytes)
        return min(self.bytes_max * REPLAY_PERCENT // 100, room // 2)

    def is_over(self, *, receive_time_us: int, now_us: int) -> bool:
        """Returns whether a row has been kept for long enough.

        Args:
            receive_time_us: When it was received, microseconds since 1970 UTC.
            now_us: The present, microseconds since 1970 UTC.
        """
        return receive_time_us + self.seconds * _US_PER_SECOND <= now_us
