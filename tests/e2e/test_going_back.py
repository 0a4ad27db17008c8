"""Disks that go back or are copied, and a server that is restored: real processes, exact invoices.

Each event of 1 token costs a cent, so an invoice's total is the number of events that were counted.
"""

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from metering.api.v1 import agent_pb2, agent_pb2_grpc, usage_pb2
from metering.ids import uuid7
from tests.e2e.world import World
from tools.programs import agent_program, free_port, run_command

CUSTOMER = "acme"
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, customer_ids=[CUSTOMER])
    made.start()
    yield made
    made.stop()


def events(count: int, *, at: datetime) -> list[usage_pb2.UsageEvent]:
    when = Timestamp()
    when.FromDatetime(at)
    return [
        usage_pb2.UsageEvent(
            event_id=uuid7(),
            customer_id=CUSTOMER,
            event_time=when,
            quantities={"input_tokens": "1"},
        )
        for _ in range(count)
    ]


def record(world: World, count: int, *, address: str = "", size: int = 10) -> None:
    """Records events in requests of `size`: each is a row of its own or shares one."""
    with grpc.insecure_channel(address or world.agent_address) as channel:
        stub = agent_pb2_grpc.AgentServiceStub(channel)
        for _ in range(count // size):
            request = agent_pb2.RecordUsageRequest(events=events(size, at=world.event_time))
            answer = stub.RecordUsage(request, timeout=30, wait_for_ready=True)
            assert answer.accepted_count == size


def invoiced(world: World) -> int:
    """Closes the month; returns the events on the invoice."""
    quantity, _total = world.close_month()[CUSTOMER]
    return int(quantity)


def put_back(backup: Path, *, data: Path, names: tuple[str, ...]) -> None:
    for leftover in data.glob("billing.db-*"):
        leftover.unlink()
    for name in names:
        shutil.copy(backup / name, data / name)


@pytest.mark.parametrize(
    "names",
    [("billing.db",), ("billing.db", "billing.db.incarnation")],
    ids=["noticed at the start", "noticed by an agent"],
)
def test_a_server_restored_from_an_old_backup_is_refilled_by_its_agent(
    world: World, tmp_path: Path, names: tuple[str, ...]
) -> None:
    record(world, 300)
    world.drain()
    world.server.stop()
    shutil.copytree(tmp_path / "server", tmp_path / "backup")
    world.server.start()
    record(world, 300)
    world.drain()
    world.server.stop()
    put_back(tmp_path / "backup", data=tmp_path / "server", names=names)
    world.server.start()
    record(world, 10)
    world.drain()
    assert world.get("/v1/agents/host-1")["server_incarnation_time"] is not None
    assert world.get("/v1/agents/host-1")["lost_count"] == 0
    assert invoiced(world) == 610


def test_an_agent_that_is_rolled_back_loses_and_doubles_nothing_that_reached_the_server(
    world: World, tmp_path: Path
) -> None:
    record(world, 200)
    world.agent.stop()
    shutil.copytree(tmp_path / "agent", tmp_path / "snapshot")
    world.agent.start()
    record(world, 200)
    world.drain()
    world.agent.stop()
    shutil.rmtree(tmp_path / "agent")
    shutil.copytree(tmp_path / "snapshot", tmp_path / "agent")
    world.agent.start()
    record(world, 100)
    world.drain()
    assert invoiced(world) == 500


def test_two_live_copies_of_an_agent_both_count_once_each(world: World, tmp_path: Path) -> None:
    record(world, 50)
    world.drain()
    world.server.stop()
    record(world, 100)  # Buffered in the original and in the copy.
    world.agent.stop()
    shutil.copytree(tmp_path / "agent", tmp_path / "copy")
    port = free_port()
    copy = agent_program(
        tmp_path / "copy",
        port=port,
        server_port=world.grpc_port,
        token_file=tmp_path / "agent.token",
    )
    world.server.start()
    world.agent.start()
    copy.start()
    try:
        for _ in range(3):  # Side by side, so that either would fence the other if it could.
            record(world, 50)
            record(world, 50, address=f"127.0.0.1:{port}")
        world.drain()
        run_command("meter-agent", "drain", f"--address=127.0.0.1:{port}", "--timeout=60")
    finally:
        copy.stop()
    names = [each["name"] for each in world.get("/v1/agents")["data"]]
    assert names[0] == "host-1"
    assert len(names) == 2
    assert names[1].startswith("host-1~")
    assert invoiced(world) == 450


def test_an_agent_that_lost_its_disk_is_reported_and_ships_on(world: World, tmp_path: Path) -> None:
    record(world, 100)
    world.drain()
    world.agent.kill()
    shutil.rmtree(tmp_path / "agent")
    world.agent.start()
    record(world, 50)
    world.drain()
    shown = world.get("/v1/agents/host-1")
    assert (shown["applied_seq"], shown["lost_count"]) == (50, 0)
    assert invoiced(world) == 150
