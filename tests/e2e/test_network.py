"""Faults of the network between a real agent and a real server: totals are exact, nothing hangs.

Method: events are recorded while a proxy between the two programs does one thing after another to
their connection. Each fault must have struck before it ends. Afterwards the agent has to drain by
itself, and the server's total of the customer must be what was answered OK: no event is missing,
none counted twice.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from metering.api.v1 import agent_pb2, agent_pb2_grpc, usage_pb2
from metering.clock import format_instant
from metering.ids import uuid7
from tests.e2e.world import World
from tests.support.fault_proxy import Fault, FaultProxy
from tools.programs import agent_program, wait_until

CUSTOMER = "acme"
EVENTS_A_REQUEST = 20
STRIKES = 3
"""How often a fault has to strike, chunks."""


class ProxiedWorld:
    """Both programs, with the proxy between them."""

    def __init__(self, room: Path, proxy: FaultProxy, world: World) -> None:
        self.proxy = proxy
        self.world = world
        self.recorded = 0
        self.channel = grpc.insecure_channel(world.agent_address)
        self.stub = agent_pb2_grpc.AgentServiceStub(self.channel)

    def record(self) -> None:
        """Records 20 events of one token each."""
        when = Timestamp()
        when.FromDatetime(self.world.event_time)
        events = [
            usage_pb2.UsageEvent(
                event_id=uuid7(),
                customer_id=CUSTOMER,
                event_time=when,
                quantities={"input_tokens": "1"},
            )
            for _ in range(EVENTS_A_REQUEST)
        ]
        reply = self.stub.RecordUsage(
            agent_pb2.RecordUsageRequest(events=events), timeout=10, wait_for_ready=True
        )
        assert reply.accepted_count == EVENTS_A_REQUEST
        self.recorded += EVENTS_A_REQUEST

    def strike(self, fault: Fault) -> None:
        """Records under a fault until it has struck often enough, and a little on after it."""
        before = self.proxy.fault_count
        self.proxy.fault = fault

        def has_struck() -> bool:
            self.record()
            return self.proxy.fault_count >= before + STRIKES

        wait_until(has_struck, what=f"the fault {fault.value}", seconds=20)
        self.proxy.fault = Fault.NONE
        self.record()

    def counted(self) -> int:
        """Returns what the server has counted of the customer."""
        start, end = (
            format_instant(each) for each in (self.world.month_start, self.world.month_end)
        )
        answer = self.world.get(
            f"/v1/usage?customer={CUSTOMER}&meter=input_tokens"
            f"&start={quote(start)}&end={quote(end)}"
        )
        return sum(int(row["quantity"]) for row in answer["data"])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProxiedWorld]:
    # A call that nobody answers is given up after 2 s instead of 30, and waits stay short.
    monkeypatch.setenv("METER_AGENT_CALL_SECONDS_MAX", "2")
    monkeypatch.setenv("METER_AGENT_RETRY_SECONDS_MAX", "0.5")
    world = World(tmp_path, customer_ids=[CUSTOMER])
    with FaultProxy(world.grpc_port) as proxy:
        world.agent = agent_program(
            tmp_path / "agent",
            port=world.agent_port,
            server_port=proxy.port,
            token_file=tmp_path / "agent.token",
        )
        world.start()
        made = ProxiedWorld(tmp_path, proxy, world)
        yield made
        made.channel.close()
        world.stop()


@pytest.mark.timeout(180)
def test_totals_are_exact_after_each_fault_of_the_network(world: ProxiedWorld) -> None:
    world.record()
    world.world.drain()
    assert world.counted() == EVENTS_A_REQUEST
    for fault in (
        Fault.DELAY,
        Fault.CUT,
        Fault.ACK_DROPPED,
        Fault.ONE_WAY,
        Fault.HALF_OPEN,
        Fault.ACK_DROPPED,
    ):
        world.strike(fault)
        world.world.drain()
        assert world.counted() == world.recorded, fault
    # A restart of the server between two faults changes nothing of it.
    world.strike(Fault.ONE_WAY)
    world.world.server.kill()
    world.world.server.start()
    world.world.drain()
    assert world.counted() == world.recorded
