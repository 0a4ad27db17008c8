"""The disk budget and its fair division between callers: pure accounting (protocol section 7).

Up to the refusing threshold everybody is taken. As it comes near, callers that hold more than their
share are refused first, the earlier the more others record; one that holds less may still use what
lies above the threshold. So a service that is cut off from the server for a day cannot leave its
neighbours without a buffer, and a service that is alone may use all of it.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

WARN_PERCENT: Final = 70
REFUSE_PERCENT: Final = 95
CLEAR_PERCENT: Final = 65
"""A warning ends below this, so that it does not come and go at the border."""
CALLER_COUNT_MAX: Final = 64
"""Callers with an account of their own; the longest silent one is forgotten for a new one."""
ACTIVE_SECONDS: Final = 300.0
"""A caller counts as present for this long after it last tried to record."""
SEGMENT_COUNT_MAX: Final = 512
"""Parts of the budget in which is remembered whose bytes lie where: memory stays bounded."""


class Admission(Enum):
    """Whether bytes of a caller are taken."""

    TAKEN = "taken"
    """There is room."""
    FULL = "full"
    """The budget is used up."""
    OVER_SHARE = "over_share"
    """What is left is kept for callers that hold less."""


@dataclass(frozen=True, slots=True)
class DiskBudget:
    """Bytes of events that may lie on disk, and the thresholds before that."""

    bytes_max: int
    """The whole budget, >= 1."""

    @property
    def warn_bytes(self) -> int:
        """Bytes from which the agent warns."""
        return self.bytes_max * WARN_PERCENT // 100

    @property
    def refuse_bytes(self) -> int:
        """Bytes that a caller alone may fill."""
        return self.bytes_max * REFUSE_PERCENT // 100

    @property
    def clear_bytes(self) -> int:
        """Bytes below which a warning ends."""
        return self.bytes_max * CLEAR_PERCENT // 100

    def crowded_bytes(self, *, caller_count: int) -> int:
        """Returns the bytes from which callers above their share are refused.

        Args:
            caller_count: Callers present, >= 1. Alone: the refusing threshold; it falls towards the
                warning threshold the more there are.
        """
        zone = self.refuse_bytes - self.warn_bytes
        return self.refuse_bytes - zone * (caller_count - 1) // caller_count


@dataclass(slots=True)
class _Segment:
    """A run of the buffer's bytes, and whose they are."""

    end_bytes: int
    size: int
    by_caller: dict[str, int]


class CallerAccounts:
    """Who holds how much of the buffer. Used by one thread.

    What was there before the start of the process belongs to nobody.

    Args:
        budget: The budget.
    """

    def __init__(self, budget: DiskBudget) -> None:
        self._budget = budget
        self._segment_size = max(budget.bytes_max // SEGMENT_COUNT_MAX, 1)
        self._segments: deque[_Segment] = deque()
        self._held: dict[str, int] = {}
        self._tried_at: dict[str, float] = {}

    @property
    def held(self) -> Mapping[str, int]:
        """Bytes by caller, of what was taken since the start and is still on disk."""
        return self._held

    def admit(
        self, caller: str, *, byte_count: int, kept_bytes: int, now_seconds: float
    ) -> Admission:
        """Judges bytes of a caller.

        Args:
            caller: Name of the caller; may be empty.
            byte_count: Bytes it wants to add, >= 0.
            kept_bytes: Bytes on disk, with those already taken for the same commit, >= 0.
            now_seconds: A monotonic clock, seconds.
        """
        self._note(caller, now_seconds)
        present = [
            name for name, at in self._tried_at.items() if now_seconds - at <= ACTIVE_SECONDS
        ]
        held_by_present = sum(self._held.get(name, 0) for name in present)
        free = self._budget.refuse_bytes - (kept_bytes - held_by_present)
        share = max(free, 0) // len(present)
        after = kept_bytes + byte_count
        if self._held.get(caller, 0) + byte_count <= share:
            is_taken = after <= self._budget.bytes_max
            return Admission.TAKEN if is_taken else Admission.FULL
        if len(present) == 1:
            return Admission.FULL
        crowded = self._budget.crowded_bytes(caller_count=len(present))
        if after <= crowded:
            return Admission.TAKEN
        return Admission.FULL if after > self._budget.refuse_bytes else Admission.OVER_SHARE

    def book(self, caller: str, *, byte_count: int, end_bytes: int) -> None:
        """Notes bytes that are on disk now.

        Args:
            caller: As judged.
            byte_count: Bytes of its events, >= 0.
            end_bytes: Bytes of all rows ever written, with these.
        """
        self._held[caller] = self._held.get(caller, 0) + byte_count
        if not self._segments or self._segments[-1].size >= self._segment_size:
            self._segments.append(_Segment(end_bytes, 0, {}))
        last = self._segments[-1]
        last.end_bytes = end_bytes
        last.size += byte_count
        last.by_caller[caller] = last.by_caller.get(caller, 0) + byte_count

    def release(self, *, kept_from_bytes: int) -> None:
        """Notes that rows were deleted.

        Args:
            kept_from_bytes: Bytes of all rows ever written and deleted since.
        """
        while self._segments and self._segments[0].end_bytes <= kept_from_bytes:
            for caller, byte_count in self._segments.popleft().by_caller.items():
                left = self._held.get(caller, 0) - byte_count
                if left > 0:
                    self._held[caller] = left
                else:
                    self._held.pop(caller, None)

    def _note(self, caller: str, now_seconds: float) -> None:
        self._tried_at.pop(caller, None)
        self._tried_at[caller] = now_seconds  # Last in order: the first is the longest silent.
        if len(self._tried_at) > CALLER_COUNT_MAX:
            forgotten = next(iter(self._tried_at))
            del self._tried_at[forgotten]
            # From now on its bytes belong to nobody, as those from before the start.
            self._held.pop(forgotten, None)
            for segment in self._segments:
                segment.by_caller.pop(forgotten, None)
