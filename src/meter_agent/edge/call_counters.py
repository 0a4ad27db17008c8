"""What became of the events and calls of callers, by reason."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallCountersView:
    """The counts at one moment, all since the process started."""

    accepted: int
    """Events answered OK, >= 0."""
    rejected: Mapping[str, int]
    """Events that were refused alone, by reason."""
    refused_calls: Mapping[str, int]
    """Calls that were refused as a whole, by reason: their callers send them again."""

    @property
    def rejected_count(self) -> int:
        """Events that were refused alone."""
        return sum(self.rejected.values())


class CallCounters:
    """Counts answers; any thread may count, any may look. Reasons are a small fixed set."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accepted = 0
        self._rejected: Counter[str] = Counter()
        self._refused_calls: Counter[str] = Counter()

    def recorded(self, accepted: int, *, rejected_reasons: Iterable[str]) -> None:
        """Counts one answered request.

        Args:
            accepted: Its good events, >= 0.
            rejected_reasons: The reason of each refused event.
        """
        with self._lock:
            self._accepted += accepted
            self._rejected.update(rejected_reasons)

    def refused(self, reason: str) -> None:
        """Counts a call that was refused as a whole."""
        with self._lock:
            self._refused_calls[reason] += 1

    def view(self) -> CallCountersView:
        """Returns the counts as they are now."""
        with self._lock:
            return CallCountersView(
                accepted=self._accepted,
                rejected=dict(self._rejected),
                refused_calls=dict(self._refused_calls),
            )
