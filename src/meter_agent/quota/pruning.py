"""Which rows of reservations may go: those that ended, or that nobody ended, long enough ago."""

from typing import Final

from meter_agent.quota.clock import LeaseClock
from meter_agent.quota.keeping import DUE_COUNT_MAX
from meter_agent.quota.reserving import Counter

ENDED_KEPT_US: Final = 15 * 60 * 1_000_000
"""How long the row of a reservation that ended answers retries; a later one is a duplicate."""
UNSETTLED_KEPT_US: Final = 35 * 86_400 * 1_000_000
"""How long an unsettled reservation stays on the list: as long as its usage may be reported."""
JUMP_US: Final = 60 * 1_000_000
"""By how much the wall clock may run ahead of the time that passed before it was set forward."""


class Pruning:
    """Deletes rows that are old enough.

    Rows carry the wall clock, which people set. Where it is set forward, rows of a moment ago look
    old: then none goes until those have answered retries for as long as they would have.

    Args:
        counter: What is known.
    """

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        clock = counter.book.clock
        self._seen_ahead_us = _ahead_us(clock)
        self._waits_until_us = clock.now_us()

    def prune(self) -> int:
        """Deletes rows; returns how many, up to a bound. Called within a transaction."""
        clock = self._counter.book.clock
        ahead_us, now_us = _ahead_us(clock), clock.now_us()
        if ahead_us - self._seen_ahead_us > JUMP_US:
            self._waits_until_us = now_us + ENDED_KEPT_US
        self._seen_ahead_us = ahead_us
        if now_us < self._waits_until_us:
            return 0
        wall_us = clock.wall_us()
        return self._counter.book.prune(
            ended_before_us=wall_us - ENDED_KEPT_US,
            unsettled_before_us=wall_us - UNSETTLED_KEPT_US,
            row_count_max=DUE_COUNT_MAX,
        )


def _ahead_us(clock: LeaseClock) -> int:
    return clock.wall_us() - clock.now_us()
