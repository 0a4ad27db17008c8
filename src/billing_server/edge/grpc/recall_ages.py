"""How long recalls have been waited for: one that is not answered soon holds up nobody for ever."""

from collections.abc import Collection
from typing import Final

from billing_server.services.acquire_leases import Recall

RECALL_SECONDS: Final = 0.5
"""How long acquisitions wait for a recall to be answered, from when it was first waited for. An
agent that has not answered by then is cut off, as far as is known here."""
RECALL_COUNT_MAX: Final = 1_000
"""Recalls that are remembered; beyond, the one that was first waited for longest ago is not."""


class RecallAges:
    """When each recall was first waited for. Used in one event loop."""

    def __init__(self) -> None:
        self._first_seconds: dict[Recall, float] = {}

    def in_vain(self, *, now: float) -> frozenset[bytes]:
        """Returns the leases whose latest recall was waited for in vain.

        Args:
            now: Monotonic clock, seconds.
        """
        latest = {each.lease_id: first for each, first in self._first_seconds.items()}
        return frozenset(each for each, first in latest.items() if now - first >= RECALL_SECONDS)

    def seconds_left(self, recalls: Collection[Recall], *, now: float) -> float:
        """Returns how long to wait for the freshest of some recalls; 0: none is worth it.

        Args:
            recalls: That are not answered.
            now: Monotonic clock, seconds.
        """
        for recall in recalls:
            self._first_seconds.setdefault(recall, now)
        left = max(
            (self._first_seconds[each] + RECALL_SECONDS - now for each in recalls), default=0
        )
        while len(self._first_seconds) > RECALL_COUNT_MAX:
            del self._first_seconds[next(iter(self._first_seconds))]
        return max(left, 0.0)
