"""The parts that answer for quota fit together, with a server and without."""

from pathlib import Path

from meter_agent.quota.desk import Offline
from tests.meter_agent.fake_server import TOKEN, FakeServer
from tests.meter_agent.support import RunningAgent


def test_without_a_server_nothing_is_synced(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        parts = agent.agent._quota
        assert not parts.counter.has_server
        assert isinstance(parts.desk._asking, Offline)
        assert parts._syncer is None


def test_with_a_server_a_low_lease_wakes_the_syncer(tmp_path: Path) -> None:
    with (
        FakeServer() as server,
        RunningAgent(tmp_path, server=server.address, token=TOKEN) as agent,
    ):
        parts = agent.agent._quota
        assert parts._syncer is not None
        assert parts._syncer.is_alive
        assert parts.counter.demands.on_low == parts._syncer.poke
