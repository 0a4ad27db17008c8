"""How long to wait after a failure: exponential with full jitter, so that no herd forms."""

from collections.abc import Callable
from dataclasses import dataclass

EXPONENT_MAX = 30
"""Doublings after which the bound has long been reached; keeps the power small."""


@dataclass(frozen=True, slots=True)
class FullJitterBackoff:
    """Draws a pause evenly from zero to a bound that doubles with each failure in a row."""

    initial_seconds: float
    """Bound after the first failure. > 0."""
    max_seconds: float
    """Bound that no pause exceeds. >= initial_seconds."""
    random: Callable[[], float]
    """Draws from [0, 1)."""

    def pause_seconds(self, *, failure_count: int) -> float:
        """Returns the pause after `failure_count` failures in a row (>= 1), in seconds."""
        doublings = min(max(failure_count - 1, 0), EXPONENT_MAX)
        bound = min(self.max_seconds, self.initial_seconds * (1 << doublings))
        return bound * self.random()
