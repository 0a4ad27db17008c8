"""What the lease side shares: the last answered number, and whether the server is there."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from meter_agent.core.quota.decide import OFFLINE_LEASE_ID
from meter_agent.core.quota.sync import SyncMark
from meter_agent.quota.mapping import counters_to_proto
from meter_agent.uplink.lease_state import LeaseState, key_of
from metering.api.v1 import lease_pb2
from metering.clock import ManualClock
from tests.meter_agent.quota.world import LEASE_ID, QuotaWorld, limit

NOW = datetime(2026, 3, 10, tzinfo=UTC)


def test_a_session_tells_every_lease_but_the_agents_own_allowance(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        lease = world.lease(500)
        world.lease(7, lease_id=OFFLINE_LEASE_ID)
        state = LeaseState(world.counter, clock=ManualClock(NOW))
        assert [item.lease_id for item in state.counters()] == [LEASE_ID]
        assert key_of(lease) == ("acme", "daily", LEASE_ID)


def test_a_lease_is_told_once_a_sync_has_told_it_as_it_is(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        lease = world.lease(500)
        state = LeaseState(world.counter, clock=ManualClock(NOW))
        assert not state.is_told(lease)
        state.answered_counters[key_of(lease)] = counters_to_proto(lease).SerializeToString()
        assert state.is_told(lease)
        assert not state.is_told(replace(lease, returned=1))


def test_what_was_told_of_a_lease_goes_with_its_row(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        lease = world.lease(500)
        gone = world.lease(500, lease_id=b"lease-of-acme-02")
        state = LeaseState(world.counter, clock=ManualClock(NOW))
        state.answered_counters = {key_of(lease): b"a", key_of(gone): b"b"}
        state.drop_gone()
        assert len(state.answered_counters) == 2
        world.run(lambda: world.book.forget_lease(gone))
        state.drop_gone()
        assert state.answered_counters == {key_of(lease): b"a"}


def test_an_opened_session_confirms_leases_and_begins_anew(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.lease(500)
        world.reopen()
        state = LeaseState(world.counter, clock=ManualClock(NOW))
        state.terms_revision, state.answered_counters = 5, {("a", "b", b"c"): b""}
        counters = lease_pb2.LeaseCounters(
            lease_id=LEASE_ID, customer_id="acme", limit_key="daily", window_id="w1", granted=500
        )
        assert not state.wait_for_session(0)
        world.run(lambda: state.session_opened([counters], sent_at_us=0, applied_seq=0))
        state.session_is_open(SyncMark(3, b"n"))
        assert world.the_lease().is_usable(world.clock.now_us())
        assert (state.mark, state.terms_revision, state.answered_counters) == (
            SyncMark(3, b"n"),
            0,
            {},
        )
        assert state.wait_for_session(0)


def test_a_disk_that_must_take_another_id_gives_its_leases_up(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.lease(500)
        state = LeaseState(world.counter, clock=ManualClock(NOW))
        world.run(lambda: state.session_opened(None, sent_at_us=0, applied_seq=0))
        assert world.the_lease().is_closed


def test_one_call_without_an_answer_does_not_make_a_server_count_as_away(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        state = LeaseState(world.counter, clock=ManualClock(NOW))
        state.failed()
        assert (state.is_away, state.figures.offline_since) == (False, NOW)
        state.answered()
        state.failed()
        assert not state.is_away
        state.failed()
        assert state.is_away


def test_time_offline_begins_with_the_first_failure(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    with QuotaWorld(tmp_path) as world:
        state = LeaseState(world.counter, clock=clock)
        state.failed()
        clock.advance(timedelta(seconds=5))
        state.failed()
        assert (state.is_away, state.figures.offline_since) == (True, NOW)
        clock.advance(timedelta(seconds=2))
        assert state.seconds_since_failure == 2
        state.answered()
        assert (state.is_away, state.figures.offline_since) == (False, None)
        assert state.figures.failure_count == 2
