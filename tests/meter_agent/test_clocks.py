"""A clock that jumps: events keep the time that the host believed, and nothing gets stuck."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from meter_agent.store.reader import OutboxReader
from metering.clock import SystemClock
from tests.meter_agent.fake_server import TOKEN, FakeServer
from tests.meter_agent.support import RunningAgent, event, events


class JumpingClock(SystemClock):
    """A wall clock that is set by hand; what measures waits goes on as it should."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def now(self) -> datetime:
        return super().now() + self.offset


def receive_times(directory: Path) -> list[datetime]:
    reader = OutboxReader(directory / "data" / "agent.db")
    page = reader.page(first_seq=1, event_count_max=100, bytes_max=1 << 20)
    reader.close()
    return [datetime.fromtimestamp(block.receive_time_us / 1e6, UTC) for block in page]


def test_a_receive_time_is_what_the_clock_says_also_where_it_was_set_back(tmp_path: Path) -> None:
    # Order is the position's. Holding on to a time that was wrong would put usage into the wrong
    # minute, perhaps the wrong period, for as long as the clock had been ahead.
    clock = JumpingClock()
    with RunningAgent(tmp_path, clock=clock) as agent:
        agent.record(events("ahead"))
        clock.offset = timedelta(hours=-3)
        agent.record(events("set back"[:3]))
        status = agent.status()
        assert status.buffered_event_count == 2
    first, second = receive_times(tmp_path)
    assert timedelta(hours=2, minutes=59) < first - second < timedelta(hours=3)


def test_the_accept_window_is_judged_by_the_wall_clock(tmp_path: Path) -> None:
    clock = JumpingClock()
    now = int(datetime.now(UTC).timestamp())
    with RunningAgent(tmp_path, clock=clock) as agent:
        assert agent.record([event("a", seconds=now)]).accepted_count == 1
        clock.offset = timedelta(minutes=-6)
        [refused] = agent.record([event("b", seconds=now)]).rejected
        assert refused.reason == "EVENT_TIME_IN_FUTURE"
        clock.offset = timedelta(days=36)
        [refused] = agent.record([event("c", seconds=now)]).rejected
        assert refused.reason == "EVENT_TIME_TOO_OLD"


def test_waits_go_on_by_the_monotonic_clock_when_the_wall_clock_jumps(tmp_path: Path) -> None:
    clock = JumpingClock()
    with (
        FakeServer() as server,
        RunningAgent(tmp_path, server=server.address, token=TOKEN, clock=clock) as agent,
    ):
        server.stop()
        agent.record(events("a"))
        for jump in (timedelta(days=-400), timedelta(days=+400)):
            clock.offset = jump
            agent.record(events(f"after {jump.days} days".replace(" ", "-")))
        server.start()
        # At most half a second between tries, whatever the wall clock did.
        assert server.wait_for_event_count(3)
        agent.wait_until_drained()
