"""Agents join a fleet at a real server: killed at every point, they join once and lose nothing."""

import os
import signal
import stat
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from billing_server.domain.ports.agents import Agent
from billing_server.edge.grpc import ingest_service
from billing_server.edge.grpc.server import IngestServer
from billing_server.services.agent_tokens import rotate_agent_token
from billing_server.services.context import ServiceContext
from billing_server.services.join_tokens import MadeJoinToken, make_join_token
from billing_server.store.unit_of_work import SqlStore
from metering.clock import SystemClock
from metering.errors import UnavailableError
from tests.billing_server.world import make_context
from tests.meter_agent.fake_server import FakeServer
from tests.meter_agent.process import AgentProcess
from tests.meter_agent.support import RunningAgent, events, wait_until


@pytest.fixture
def context(store: SqlStore) -> ServiceContext:
    return make_context(store)


@pytest.fixture
def made(context: ServiceContext) -> MadeJoinToken:
    return make_join_token(context, fleet="gpu", ttl=timedelta(days=1), agent_count_max=1)


@pytest.fixture
def join_token_file(made: MadeJoinToken, tmp_path: Path) -> Path:
    path = tmp_path / "join-token"
    path.write_text(made.token)
    path.chmod(0o600)
    return path


@pytest.fixture
def address(store: SqlStore) -> Iterator[str]:
    server = IngestServer(store=store, clock=SystemClock(), listen="127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop()


def agents(context: ServiceContext) -> tuple[Agent, ...]:
    with context.store.read() as unit:
        return unit.agents.page(after=None, limit=9)


def applied(context: ServiceContext) -> list[tuple[str, int]]:
    return [(agent.name, agent.applied_seq) for agent in agents(context)]


class Killer:
    """Kills the agent at its first JoinFleet, before or after the server has made the agent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, point: str) -> None:
        self.pid = 0
        self.is_started, self.is_done = threading.Event(), threading.Event()
        real = ingest_service.join_fleet

        def join_fleet(*arguments: Any, **named: Any) -> Any:
            if self.is_done.is_set() or point == "written":
                return real(*arguments, **named)
            joined = real(*arguments, **named) if point == "exchanged" else None
            assert self.is_started.wait(30)
            os.kill(self.pid, signal.SIGKILL)
            self.is_done.set()
            if joined is None:
                raise UnavailableError(reason="KILLED", message="nobody hears it")
            return joined

        monkeypatch.setattr(ingest_service, "join_fleet", join_fleet)


@pytest.mark.parametrize("point", ["sent", "exchanged", "written"])
def test_an_agent_that_is_killed_while_it_joins_joins_once(
    point: str,
    context: ServiceContext,
    made: MadeJoinToken,
    address: str,
    join_token_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killer = Killer(monkeypatch, point=point)
    agent = AgentProcess(tmp_path)
    flags = (f"--server={address}", f"--join-token-file={join_token_file}")
    monkeypatch.setenv("METER_AGENT_HOST_NAME", "host-1")
    own = agent.data_dir / "agent.token"
    agent.start(*flags)
    killer.pid = agent.pid
    agent.record(events("event-1"))
    killer.is_started.set()
    if point == "written":
        wait_until(own.exists)
        join_token_file.unlink()
    else:
        assert killer.is_done.wait(30)
        assert not own.exists()
    agent.kill()
    agent.start(*flags)
    agent.record(events("event-2"))
    wait_until(lambda: applied(context) == [("gpu-host-1", 2)])
    assert stat.S_IMODE(own.stat().st_mode) == 0o600
    assert not own.with_name("agent.token.joining").exists()
    rotated = rotate_agent_token(context, name="gpu-host-1")
    own.with_name("new").write_text(rotated.token)
    own.with_name("new").rename(own)
    agent.record(events("event-3"))
    wait_until(lambda: applied(context) == [("gpu-host-1", 3)])
    assert agent.stop() == 0
    with context.store.read() as unit:
        kept = unit.join_tokens.get(made.join_token.join_token_id)
    assert kept is not None
    assert kept.agent_count == 1
    log = agent.log_path.read_text()
    # The kill may also fall between the write and the line that tells of it.
    assert point == "written" or log.count("fleet_joined") == 1
    assert "mat_" not in log
    assert "mjt_" not in log


def test_a_refused_join_token_is_told_and_a_new_one_is_taken_without_a_restart(
    memory_store: SqlStore, tmp_path: Path
) -> None:
    context = make_context(memory_store)
    server = IngestServer(store=memory_store, clock=SystemClock(), listen="127.0.0.1:0")
    server.start()
    file = tmp_path / "join-token"
    file.write_text("mjt_unknown")
    file.chmod(0o600)
    address = f"127.0.0.1:{server.port}"
    with RunningAgent(tmp_path, server=address, join_token_file=file) as agent:
        agent.record(events("event-1"))
        wait_until(lambda: "did not let this host join" in agent.status().last_error)
        assert "--join-token-file" in agent.status().last_error
        assert "mjt_unknown" not in agent.status().last_error
        assert agents(context) == ()
        made = make_join_token(context, fleet="gpu", ttl=timedelta(days=1), agent_count_max=1)
        file.write_text(made.token)
        agent.wait_until_drained()
        assert applied(context) == [("gpu-host-1", 1)]
        assert agent.status().agent_id == agents(context)[0].agent_id
    server.stop()


def test_a_token_of_its_own_is_used_and_the_join_token_is_not(tmp_path: Path) -> None:
    file = tmp_path / "join-token"
    file.write_text("mjt_unknown")
    with (
        FakeServer() as server,
        RunningAgent(
            tmp_path, server=server.address, token=server.token, join_token_file=file
        ) as agent,
    ):
        agent.record(events("event-1"))
        agent.wait_until_drained()
    assert not (tmp_path / "data" / "agent.token").exists()
