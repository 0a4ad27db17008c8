"""The whole agent in one process: from a call to the server, over restarts."""

from pathlib import Path

import pytest

from meter_agent.bootstrap import Agent, agent_version
from meter_agent.config import AgentSettings
from meter_agent.store.data_dir import DataDirectory
from metering.errors import InvalidStateError, ValidationError
from tests.meter_agent.fake_server import AGENT_ID, TOKEN, FakeServer
from tests.meter_agent.support import RunningAgent, events, numbered, wait_until


def test_what_is_recorded_arrives_at_the_server(tmp_path: Path) -> None:
    with (
        FakeServer() as server,
        RunningAgent(tmp_path, server=server.address, token=TOKEN) as agent,
    ):
        agent.record(numbered(0, 20))
        assert server.wait_for_event_count(20)
        agent.wait_until_drained()
        status = agent.status()
        assert status.agent_id == AGENT_ID
        assert status.is_server_reachable
        assert (status.applied_seq, status.safe_seq, status.session_no) == (20, 20, 1)
        assert status.buffered_bytes == 0
        assert agent.record(events("more")).agent_id == AGENT_ID


def test_without_a_server_it_buffers_and_ships_after_a_restart_with_one(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        agent.record(numbered(0, 5))
    with (
        FakeServer() as server,
        RunningAgent(tmp_path, server=server.address, token=TOKEN) as agent,
    ):
        assert agent.status().next_seq == 6
        agent.record(numbered(5, 10))
        agent.wait_until_drained()
        assert server.event_ids == [f"event-{number}" for number in range(10)]


def test_a_wrong_token_shows_in_the_status_and_recording_goes_on(tmp_path: Path) -> None:
    with (
        FakeServer() as server,
        RunningAgent(tmp_path, server=server.address, token="wrong-secret") as agent,
    ):
        wait_until(lambda: "refused the agent's token" in agent.status().last_error)
        assert agent.record(numbered(0, 5)).accepted_count == 5
        status = agent.status()
        assert status.buffered_event_count == 5
        assert "wrong-secret" not in status.last_error


def test_a_start_that_fails_leaves_nothing_held(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = AgentSettings(listen=(f"unix:{tmp_path}/file",), data_dir=tmp_path / "data")
    with pytest.raises(InvalidStateError, match="--listen"):
        Agent(settings)
    DataDirectory(tmp_path / "data").close()


def test_an_address_that_cannot_be_bound_gives_the_others_free(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    good = f"unix:{tmp_path}/good.sock"
    settings = AgentSettings(listen=(good, f"unix:{tmp_path}/file"), data_dir=tmp_path / "data")
    with pytest.raises(InvalidStateError):
        Agent(settings)
    assert not (tmp_path / "good.sock").exists()
    only_good = AgentSettings(listen=(good,), data_dir=tmp_path / "data")
    agent = Agent(only_good)
    agent.start()
    agent.stop()


def test_a_server_without_a_port_is_refused_with_the_flag(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="--server 'billing'"):
        Agent(AgentSettings(data_dir=tmp_path, listen=(f"unix:{tmp_path}/a",), server="billing"))


def test_a_second_agent_on_the_directory_is_refused(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent, pytest.raises(InvalidStateError) as caught:
        Agent(AgentSettings(listen=(f"unix:{tmp_path}/b.sock",), data_dir=tmp_path / "data"))
    assert caught.value.reason == "AGENT_ALREADY_RUNNING"
    assert agent.agent.data_directory == str(tmp_path / "data")


def test_the_version_is_that_of_the_distribution() -> None:
    assert agent_version().count(".") == 2
