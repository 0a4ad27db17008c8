"""When due work that failed is tried again: later each time, so that it costs little meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

RETRY_SECONDS_FIRST: Final = 1.0
"""How long work waits after its first failure."""
RETRY_SECONDS_MAX: Final = 300.0
"""How long it waits at most: so late is it carried out, at most, once its cause has gone."""
EXPONENT_MAX: Final = 30
"""Beyond it the doubled wait has long passed the bound."""
FAILURES_MAX: Final = 100_000
"""Failures that are remembered; the oldest is forgotten first, and is then tried at once."""

WorkKey = tuple[str, str]
"""What is done, such as `period`, and for which subscription."""


def retry_delay_seconds(failure_count: int) -> float:
    """Returns how long work waits that failed so often in a row: 1, 2, 4 … 300 seconds.

    Args:
        failure_count: >= 1.
    """
    doubled = RETRY_SECONDS_FIRST * 2.0 ** min(failure_count - 1, EXPONENT_MAX)
    return min(doubled, RETRY_SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class _Failure:
    count: int
    retry_at: float


class DueRetries:
    """The failures of due work, in memory: a start of the server tries everything at once.

    Args:
        monotonic: seconds that only rise.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failures: dict[WorkKey, _Failure] = {}

    def may_try(self, key: WorkKey) -> bool:
        """Returns whether work may be tried now."""
        failure = self._failures.get(key)
        return failure is None or failure.retry_at <= self._monotonic()

    def note_success(self, key: WorkKey) -> None:
        """Notes that work was carried out: a later failure is the first one again."""
        self._failures.pop(key, None)

    def note_failure(self, key: WorkKey) -> float:
        """Notes that work failed; returns after how many seconds it is tried again."""
        known = self._failures.pop(key, None)
        count = 1 if known is None else known.count + 1
        delay = retry_delay_seconds(count)
        self._failures[key] = _Failure(count, self._monotonic() + delay)
        if len(self._failures) > FAILURES_MAX:
            self._failures.pop(next(iter(self._failures)))
        return delay


def once_a_run() -> DueRetries:
    """Returns a memory for one run: what failed in it is not tried again before the next one."""
    return DueRetries(lambda: 0.0)
