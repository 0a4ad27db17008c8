"""How long to wait before the next try: full jitter, so that a fleet never comes back as a herd."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

EXPONENT_MAX: Final = 32
"""Above it the doubling has long passed any cap; it keeps the power from growing without end."""


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """Bounds of the waits between tries."""

    first_seconds: float = 0.5
    """Upper bound of the first wait, seconds, > 0; it doubles with each further try."""
    cap_seconds: float = 60.0
    """Upper bound of every wait, seconds, >= first_seconds."""


def backoff_seconds(
    attempt: int,
    *,
    policy: BackoffPolicy,
    uniform: Callable[[float, float], float],
    retry_after_seconds: float | None = None,
) -> float:
    """Returns the seconds to wait after try number `attempt` has failed.

    Args:
        attempt: Number of tries that failed in a row, >= 1.
        policy: The bounds.
        uniform: Random number between its two arguments.
        retry_after_seconds: What the other side asked for; never undercut, and jittered upwards
            by at most `first_seconds` so that those who were told the same do not come together.
    """
    doubled = policy.first_seconds * 2.0 ** min(attempt - 1, EXPONENT_MAX)
    wait = uniform(0.0, min(policy.cap_seconds, doubled))
    if retry_after_seconds is None:
        return wait
    return max(wait, retry_after_seconds + uniform(0.0, policy.first_seconds))
