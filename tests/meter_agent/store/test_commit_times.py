"""How long commits take."""

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
