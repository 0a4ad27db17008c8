"""The waits between tries."""

import pytest

from meter_agent.core.backoff import BackoffPolicy, backoff_seconds

POLICY = BackoffPolicy(first_seconds=0.5, cap_seconds=60.0)


def longest(low: float, high: float) -> float:
    return high


def shortest(low: float, high: float) -> float:
    return low


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    # 0.5 × 2^(attempt − 1), at most 60: 0.5 × 2^6 = 32, 0.5 × 2^7 = 64.
    [(1, 0.5), (2, 1.0), (3, 2.0), (7, 32.0), (8, 60.0), (100_000, 60.0)],
)
def test_the_upper_bound_doubles_up_to_the_cap(attempt: int, seconds: float) -> None:
    assert backoff_seconds(attempt, policy=POLICY, uniform=longest) == seconds


def test_the_jitter_is_full_so_a_wait_may_be_nothing() -> None:
    assert backoff_seconds(9, policy=POLICY, uniform=shortest) == 0.0


def test_what_the_server_asks_for_is_never_undercut() -> None:
    asked = 7.0
    assert backoff_seconds(1, policy=POLICY, uniform=shortest, retry_after_seconds=asked) == 7.0
    # 7 and at most half a second, so that those who were told the same come apart.
    assert backoff_seconds(1, policy=POLICY, uniform=longest, retry_after_seconds=asked) == 7.5
    assert backoff_seconds(9, policy=POLICY, uniform=longest, retry_after_seconds=asked) == 60.0
