"""What the uplink saw, and the alarm of the conservation line."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from meter_agent.core.conservation import PushCounts
from meter_agent.core.positions import Positions
from meter_agent.store.border import Border
from meter_agent.uplink.tally import ObservedChange, UplinkTally
from metering.clock import ManualClock
from tests.meter_agent.support import NOW

STATE = Positions(
    disk_id=b"d" * 16, server_incarnation="one", earliest_kept_seq=1, next_seq=11, applied_seq=4
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def tally(clock: ManualClock) -> UplinkTally:
    return UplinkTally(carried_over=6, clock=clock)


def done(change: Callable[[Positions], Positions]) -> ObservedChange:
    observed = ObservedChange(change)
    observed(STATE)
    return observed


def test_time_offline_runs_from_the_first_failure_to_the_next_answer(
    tally: UplinkTally, clock: ManualClock
) -> None:
    tally.failed()
    clock.advance(timedelta(seconds=30))
    tally.failed()
    assert (tally.offline_seconds, tally.figures.offline_since) == (30.0, NOW)
    clock.advance(timedelta(seconds=10))
    tally.answered()
    assert (tally.offline_seconds, tally.offline_seconds_total) == (0.0, 40.0)
    assert tally.figures.offline_since is None
    tally.failed()
    clock.advance(timedelta(seconds=2))
    assert (tally.offline_seconds_total, tally.figures.failure_count) == (42.0, 3)


def test_a_new_incarnation_is_counted_and_its_rows_are_taken_back(tally: UplinkTally) -> None:
    with capture_logs() as logs:
        tally.session_opened(
            done(lambda state: replace(state, server_incarnation="two", applied_seq=0))
        )
    figures = tally.figures
    assert (figures.session_count, figures.incarnation_change_count) == (1, 1)
    assert figures.ledger.taken_back == 4
    assert [log["event"] for log in logs] == ["server_incarnation_changed"]


def test_the_first_session_changes_no_incarnation(tally: UplinkTally) -> None:
    first = ObservedChange(lambda state: replace(state, server_incarnation="one"))
    first(replace(STATE, server_incarnation=""))
    tally.session_opened(first)
    assert tally.figures.incarnation_change_count == 0


def test_a_declared_loss_is_counted_and_logged(tally: UplinkTally) -> None:
    with capture_logs() as logs:
        tally.session_opened(done(lambda state: state), declared_lost=3)
    assert tally.figures.ledger.declared_lost == 3
    assert logs[0]["event"] == "loss_declared"


def test_gaps_and_fences_are_counted(tally: UplinkTally) -> None:
    tally.gap_answered(done(lambda state: replace(state, applied_seq=2)), server_applied_seq=2)
    tally.fenced()
    figures = tally.figures
    assert (figures.gap_count, figures.fenced_count, figures.ledger.taken_back) == (1, 1, 2)


def test_a_gap_before_the_earliest_row_kept_is_a_loss(tally: UplinkTally) -> None:
    with capture_logs() as logs:
        tally.gap_answered(
            done(lambda state: replace(state, earliest_kept_seq=4, applied_seq=3)),
            server_applied_seq=0,
        )
    # Positions 1 to 3 are gone at both sides, 4 is sent again.
    assert (tally.figures.ledger.declared_lost, tally.figures.ledger.taken_back) == (3, 4)
    assert [log["event"] for log in logs] == ["loss_declared"]


def test_a_push_whose_answer_names_every_event_keeps_the_line(tally: UplinkTally) -> None:
    with capture_logs() as logs:
        tally.pushed(
            PushCounts(3, 1, 1, 1),
            border=Border(5, replace(STATE, next_seq=16, applied_seq=10)),
        )
    # 6 carried over + 5 accepted = 6 acked + 5 buffered.
    assert (tally.figures.imbalance, tally.figures.push_count, logs) == (0, 1, [])
    assert tally.drain_events_per_second == 0.1  # 6 events in a minute


def test_a_broken_line_alarms_once_with_every_term(tally: UplinkTally) -> None:
    after = Border(0, replace(STATE, applied_seq=10))
    with capture_logs() as logs:
        tally.pushed(PushCounts(5, 0, 0, 0), border=after)
        tally.pushed(PushCounts(0, 0, 0, 0), border=after)
    assert tally.figures.imbalance == 1  # 6 carried over, 5 named, none buffered.
    assert [log["event"] for log in logs] == ["conservation_broken"]
    assert logs[0]["log_level"] == "error"
    assert (logs[0]["carried_over"], logs[0]["counted"], logs[0]["buffered"]) == (6, 5, 0)
    with capture_logs() as logs:
        tally.pushed(PushCounts(1, 0, 0, 0), border=after)
    assert [log["event"] for log in logs] == ["conservation_restored"]
