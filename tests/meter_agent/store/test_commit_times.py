"""How long commits take."""

import pytest

from meter_agent.store import commit_times as module
from meter_agent.store.commit_times import BOUNDS_SECONDS, CommitTimes


def test_a_commit_falls_into_the_bucket_of_the_next_bound() -> None:
    times = CommitTimes()
    for seconds in (0.0004, 0.001, 0.3, 100.0):
        times.observe(seconds)
    view = times.view()
    by_bound = dict(zip((*BOUNDS_SECONDS, "above"), view.bucket_counts, strict=True))
    assert {bound for bound, count in by_bound.items() if count} == {0.0005, 0.001, 0.5, "above"}
    assert sum(view.bucket_counts) == 4
    assert view.slowest_seconds == 100.0
    assert round(view.sum_seconds, 4) == 100.3014


def test_failures_are_counted_apart() -> None:
    times = CommitTimes()
    times.observe_failure()
    view = times.view()
    assert (view.failed_count, sum(view.bucket_counts), view.slowest_seconds) == (1, 0, 0.0)
    assert view.failure_age_seconds is not None
    times.observe(0.1)
    assert times.view().failure_age_seconds is None


def test_a_commit_that_hangs_is_seen_while_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    times = CommitTimes()
    assert times.view().running_seconds == 0.0
    times.begin()
    now[0] = 112.5
    assert times.view().running_seconds == 12.5
    times.observe(times.elapsed())
    view = times.view()
    assert (view.running_seconds, view.slowest_seconds) == (0.0, 12.5)
