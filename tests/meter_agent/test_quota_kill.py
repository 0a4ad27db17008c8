"""Reservations under kill -9 of the agent and of its clients: settled once, no hold leaks."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from metering import Meter, MeterOptions, QuotaDenied
from metering.api.v1 import agent_pb2, agent_pb2_grpc
from metering.ids import settlement_event_id
from tests.meter_agent.fake_server import TOKEN, FakeServer
from tests.meter_agent.process import AgentProcess
from tests.meter_agent.support import WAIT_SECONDS, wait_until

pytestmark = pytest.mark.timeout(180)

CALLERS = 3
CALLS_EACH = 8
KILLS = 2
CRASHES = 4
RETRY_SECONDS = 0.1

CRASHING_CLIENT = """
import os, sys
from datetime import timedelta
from metering import Meter, MeterOptions
meter = Meter(sys.argv[1], options=MeterOptions(quota_timeout_seconds=30))
for number in range(3):
    meter.reserve(
        customer="acme", quantities={"output_tokens": 100}, ttl=timedelta(seconds=1)
    ).__enter__()
os._exit(9)
"""


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        running.leases.limit("acme", "daily", 100_000)
        yield running


@pytest.fixture
def agent(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AgentProcess]:
    monkeypatch.setenv("METER_AGENT_TOKEN", TOKEN)
    monkeypatch.setenv("METER_AGENT_RESERVATION_LATE_SECONDS", "1")
    monkeypatch.setenv("METER_AGENT_RETRY_SECONDS_MAX", "0.5")
    process = AgentProcess(tmp_path)
    process.command.append(f"--server={server.address}")
    process.start()
    yield process
    process.kill()


def status(agent: AgentProcess) -> agent_pb2.GetAgentStatusResponse:
    with grpc.insecure_channel(agent.address) as channel:
        stub = agent_pb2_grpc.AgentServiceStub(channel)
        answer: agent_pb2.GetAgentStatusResponse = stub.GetAgentStatus(
            agent_pb2.GetAgentStatusRequest(), timeout=WAIT_SECONDS, wait_for_ready=True
        )
        return answer


def use(meter: Meter, *, settled: list[str]) -> None:
    for _ in range(CALLS_EACH):
        is_done = False
        while not is_done:
            try:
                with meter.reserve(customer="acme", quantities={"output_tokens": 100}) as r:
                    r.settle({"output_tokens": 60})
                    settled.append(r.reservation_id)
                    is_done = True
            except QuotaDenied as denied:
                # The agent is dead, or has not opened its session yet: the call comes again.
                assert denied.reason in {"AGENT_UNAVAILABLE", "SERVER_AWAY"}  # noqa: PT017
                threading.Event().wait(RETRY_SECONDS)


def test_every_settlement_counts_once_through_kills_of_the_agent(
    agent: AgentProcess, server: FakeServer
) -> None:
    options = MeterOptions(
        backoff_initial_seconds=0.05, backoff_max_seconds=0.2, quota_timeout_seconds=10
    )
    settled: list[str] = []
    with Meter(agent.address, options=options) as meter:
        callers = [
            threading.Thread(target=use, args=(meter,), kwargs={"settled": settled}, daemon=True)
            for _ in range(CALLERS)
        ]
        for caller in callers:
            caller.start()
        for number in range(1, KILLS + 1):
            wait_until(lambda n=number: len(settled) >= n * CALLERS * CALLS_EACH // (KILLS + 2))
            agent.kill()
            agent.start()
        for caller in callers:
            caller.join(WAIT_SECONDS * 2)
        assert meter.flush(timeout=WAIT_SECONDS)
        assert meter.stats().settlements_lost == 0
    assert len(settled) == CALLERS * CALLS_EACH
    assert server.wait_for(lambda: len(server.books.counted) >= len(settled))
    wait_until(lambda: status(agent).buffered_event_count == 0)
    expected = {(settlement_event_id("acme", name), "acme") for name in settled}
    assert set(server.books.counted) == expected
    wait_until(lambda: status(agent).held_reservation_count == 0)
    escrow = server.leases.escrows["acme", "daily"]
    assert server.wait_for(lambda: escrow.settled == 60 * len(settled))


def test_no_hold_leaks_after_a_storm_of_crashing_clients(
    agent: AgentProcess, server: FakeServer
) -> None:
    clients = [
        subprocess.Popen([sys.executable, "-c", CRASHING_CLIENT, agent.address])
        for _ in range(CRASHES)
    ]
    assert [client.wait(WAIT_SECONDS * 2) for client in clients] == [9] * CRASHES
    agent.kill()
    agent.start()

    def has_nothing_held() -> bool:
        found = status(agent)
        return found.held_reservation_count + found.expired_reservation_count == 0

    wait_until(has_nothing_held)
    found = status(agent)
    assert found.unsettled_reservation_count == 3 * CRASHES
    [limit] = found.limits
    assert (limit.held, limit.consumed) == ("0", "0")
    assert server.books.counted == {}
