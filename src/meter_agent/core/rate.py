"""A rate over the last minute, in constant memory."""

from collections import deque
from typing import Final

WINDOW_SECONDS: Final = 60


class RateWindow:
    """Counts events by the second and keeps one minute of them."""

    def __init__(self) -> None:
        self._buckets: deque[tuple[int, int]] = deque(maxlen=WINDOW_SECONDS + 1)

    def add(self, count: int, *, now_seconds: float) -> None:
        """Counts events.

        Args:
            count: How many, >= 0.
            now_seconds: A clock that never goes back, seconds.
        """
        second = int(now_seconds)
        if self._buckets and self._buckets[-1][0] == second:
            self._buckets[-1] = (second, self._buckets[-1][1] + count)
        else:
            self._buckets.append((second, count))

    def per_second(self, *, now_seconds: float) -> float:
        """Returns the events a second over the last minute.

        Args:
            now_seconds: As given to `add`.
        """
        oldest = int(now_seconds) - WINDOW_SECONDS
        # A copy: another thread may count meanwhile.
        total = sum(count for second, count in list(self._buckets) if second > oldest)
        return total / WINDOW_SECONDS
