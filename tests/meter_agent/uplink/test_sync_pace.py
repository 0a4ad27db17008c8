"""Syncs are sent at once and seldom answered with mere grants; recalls are answered at once."""

from bisect import bisect_left

import pytest

from meter_agent.uplink.sync_pace import (
    RECALLS_PER_SECOND,
    SYNC_BURST,
    SYNCS_PER_SECOND,
    SyncPace,
    Turn,
)

CALM = 1 / SYNCS_PER_SECOND


def spent(now: float) -> SyncPace:
    """Returns the pace of an agent whose burst is used up at `now`."""
    pace = SyncPace()
    for _ in range(int(SYNC_BURST)):
        assert pace.turn(now=now) == Turn(0.0, 0.0)
    return pace


def test_behind_a_burst_a_sync_goes_at_once_and_is_calm_until_its_turn() -> None:
    pace = spent(100.0)
    assert pace.turn(now=100.0) == Turn(0.0, CALM)


def test_who_is_answered_before_its_calm_is_over_waits_for_the_rest_of_it() -> None:
    pace = spent(100.0)
    pace.turn(now=100.0)
    assert pace.turn(now=100.25) == Turn(pytest.approx(CALM - 0.25), pytest.approx(CALM))
    assert pace.turn(now=100.0 + 2 * CALM) == Turn(0.0, pytest.approx(CALM))


def test_an_answered_recall_takes_no_turn_of_the_others() -> None:
    pace = spent(100.0)
    assert pace.owed_turn(now=100.0) == Turn(0.0, 0.0)
    assert pace.turn(now=100.0) == Turn(0.0, CALM)
    assert pace.owed_turn(now=100.2) == Turn(0.0, pytest.approx(CALM - 0.2))


def test_answered_recalls_have_a_bound_of_their_own() -> None:
    pace = SyncPace()
    pace.owed_turn(now=100.0)
    assert pace.owed_turn(now=100.0).wait_seconds == pytest.approx(1 / RECALLS_PER_SECOND)
    assert pace.owed_turn(now=100.0).wait_seconds == pytest.approx(2 / RECALLS_PER_SECOND)


@pytest.mark.parametrize("quiet_seconds", [0.0, 0.4, 20.0])
def test_no_minute_sees_more_than_one_sync_a_second_whenever_its_burst_falls(
    quiet_seconds: float,
) -> None:
    pace, now = SyncPace(), 0.0
    sent: list[float] = []
    while now < 600:
        # Every answer comes at once, and all half minutes there is nothing to sync for a while.
        if len(sent) % 30 == 29:
            now += quiet_seconds
        now += pace.turn(now=now).wait_seconds
        sent.append(now)
        now += 0.001
    assert max(_within(sent, first=first, seconds=60) for first in sent) <= 60
    assert max(_within(sent, first=first, seconds=40) for first in sent) <= 40


def _within(sent: list[float], *, first: float, seconds: float) -> int:
    return bisect_left(sent, first + seconds) - bisect_left(sent, first)


def test_an_agent_that_was_answered_too_early_is_deaf_for_less_than_a_changed_limit_may_take() -> (
    None
):
    pace = spent(100.0)
    pace.turn(now=100.0)
    assert pace.turn(now=100.0).wait_seconds <= 1.2
