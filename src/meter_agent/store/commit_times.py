"""How long commits take: a histogram, and the slowest one."""

import threading
import time
from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

BOUNDS_SECONDS: Final = (
    *(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    *(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0),
)
"""Upper bounds of the buckets, seconds: a fast disk syncs in half a millisecond."""
SLOW_SECONDS: Final = 1.0
"""A commit as long as this is worth a line in the log."""


@dataclass(frozen=True, slots=True)
class CommitTimesView:
    """The histogram at one moment."""

    bucket_counts: tuple[int, ...]
    """Commits by bucket, not cumulative; the last is above every bound."""
    sum_seconds: float
    """All commits together, seconds, >= 0."""
    slowest_seconds: float
    """The slowest commit since the start, seconds; 0 where there was none."""
    failed_count: int
    """Commits that failed, >= 0."""
    running_seconds: float
    """How long the commit that runs now has taken, seconds; 0 where none runs."""
    failure_age_seconds: float | None
    """Seconds since a commit failed; None where none has failed since the last good one."""


class CommitTimes:
    """Takes the times of commits from the writer's thread; any thread may look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bucket_counts = [0] * (len(BOUNDS_SECONDS) + 1)
        self._sum_seconds = 0.0
        self._slowest_seconds = 0.0
        self._failed_count = 0
        self._failed_at: float | None = None
        self._began_at: float | None = None

    def begin(self) -> None:
        """Notes that a commit begins; `observe` or `observe_failure` ends it."""
        with self._lock:
            self._began_at = time.monotonic()

    def elapsed(self) -> float:
        """Returns how long the commit that runs now has taken, seconds; 0 where none runs."""
        began_at = self._began_at
        return 0.0 if began_at is None else time.monotonic() - began_at

    def observe(self, seconds: float) -> None:
        """Counts a commit that went well.

        Args:
            seconds: How long it took, >= 0.
        """
        with self._lock:
            self._began_at = self._failed_at = None
            self._bucket_counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
            self._sum_seconds += seconds
            self._slowest_seconds = max(self._slowest_seconds, seconds)

    def observe_failure(self) -> None:
        """Counts a commit that failed."""
        with self._lock:
            self._failed_count += 1
            self._began_at, self._failed_at = None, time.monotonic()

    def view(self) -> CommitTimesView:
        """Returns the histogram as it is now."""
        with self._lock:
            failed_at = self._failed_at
            failure_age = None if failed_at is None else time.monotonic() - failed_at
            return CommitTimesView(
                bucket_counts=tuple(self._bucket_counts),
                sum_seconds=self._sum_seconds,
                slowest_seconds=self._slowest_seconds,
                failed_count=self._failed_count,
                running_seconds=self.elapsed(),
                failure_age_seconds=failure_age,
            )
