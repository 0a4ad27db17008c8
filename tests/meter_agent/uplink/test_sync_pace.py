"""Syncs are sent at once and seldom answered with mere grants; recalls are answered at once."""

import pytest

from meter_agent.uplink.sync_pace import RECALLS_PER_SECOND, SYNC_BURST, SyncPace, Turn


def spent(now: float) -> SyncPace:
    """Returns the pace of an agent whose burst is used up at `now`."""
    pace = SyncPace()
    for _ in range(int(SYNC_BURST)):
        assert pace.turn(now=now) == Turn(0.0, 0.0)
    return pace


def test_behind_a_burst_a_sync_goes_at_once_and_is_calm_until_its_turn() -> None:
    pace = spent(100.0)
    assert pace.turn(now=100.0) == Turn(0.0, 1.0)


def test_who_is_answered_before_its_calm_is_over_waits_for_the_rest_of_it() -> None:
    pace = spent(100.0)
    pace.turn(now=100.0)
    assert pace.turn(now=100.25) == Turn(pytest.approx(0.75), 1.0)
    assert pace.turn(now=102.0) == Turn(0.0, 1.0)


def test_an_answered_recall_takes_no_turn_of_the_others() -> None:
    pace = spent(100.0)
    assert pace.owed_turn(now=100.0) == Turn(0.0, 0.0)
    assert pace.turn(now=100.0) == Turn(0.0, 1.0)
    assert pace.owed_turn(now=100.2) == Turn(0.0, pytest.approx(0.8))


def test_answered_recalls_have_a_bound_of_their_own() -> None:
    pace = SyncPace()
    pace.owed_turn(now=100.0)
    assert pace.owed_turn(now=100.0).wait_seconds == pytest.approx(1 / RECALLS_PER_SECOND)
    assert pace.owed_turn(now=100.0).wait_seconds == pytest.approx(2 / RECALLS_PER_SECOND)


def test_over_an_hour_an_agent_that_is_answered_at_once_syncs_once_a_second() -> None:
    pace, now, count = SyncPace(), 0.0, 0
    while now < 3_600:
        now += pace.turn(now=now).wait_seconds + 0.001
        count += 1
    assert count <= 3_600 + SYNC_BURST + 1
