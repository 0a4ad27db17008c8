"""Pauses after failures: exponential, bounded, with full jitter."""

from hypothesis import given
from hypothesis import strategies as st

from metering.client.backoff import FullJitterBackoff


def test_the_bound_doubles_with_each_failure_up_to_the_maximum() -> None:
    backoff = FullJitterBackoff(initial_seconds=0.125, max_seconds=1.0, random=lambda: 1.0)
    pauses = [backoff.pause_seconds(failure_count=count) for count in (1, 2, 3, 4, 5, 500)]
    assert pauses == [0.125, 0.25, 0.5, 1.0, 1.0, 1.0]


def test_jitter_is_full() -> None:
    backoff = FullJitterBackoff(initial_seconds=0.5, max_seconds=8.0, random=lambda: 0.25)
    # The third bound is 0.5 * 2 * 2 = 2; a quarter of it is 0.5.
    assert backoff.pause_seconds(failure_count=3) == 0.5


@given(draw=st.floats(0, 1, exclude_max=True), failure_count=st.integers(1, 10_000))
def test_no_pause_leaves_its_range(draw: float, failure_count: int) -> None:
    backoff = FullJitterBackoff(initial_seconds=0.1, max_seconds=2.0, random=lambda: draw)
    assert 0 <= backoff.pause_seconds(failure_count=failure_count) < 2.0
