"""How long applied rows are kept."""

import pytest

from meter_agent.core.retention import Retention

RETENTION = Retention(seconds=86_400, bytes_max=1_000)


@pytest.mark.parametrize(
    ("unapplied", "allowed"),
    # A quarter of the budget; then half of what is free below 90 % of it.
    [(0, 250), (400, 250), (401, 249), (800, 50), (900, 0), (1_000, 0)],
)
def test_applied_rows_make_way_for_what_waits(unapplied: int, allowed: int) -> None:
    assert RETENTION.replay_bytes_max(unapplied_bytes=unapplied) == allowed


def test_a_row_is_kept_for_its_time() -> None:
    day_us = 86_400_000_000
    assert not RETENTION.is_over(receive_time_us=5, now_us=day_us + 4)
    assert RETENTION.is_over(receive_time_us=5, now_us=day_us + 5)
    # A clock that was set back keeps rows for longer, and never deletes too early.
    assert not RETENTION.is_over(receive_time_us=day_us, now_us=0)
