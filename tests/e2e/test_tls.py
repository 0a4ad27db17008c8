"""The two programs over mutual TLS, with the flags that an operator gives."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from metering.api.v1 import agent_pb2, agent_pb2_grpc, usage_pb2
from tests.e2e.world import World
from tests.support.certificates import Authority
from tools.programs import ProgramError, agent_program, free_port, run_command

CUSTOMER = "acme"


@pytest.fixture
def flags(tmp_path: Path) -> tuple[str, ...]:
    """The agent's flags; those of the server lie in the same folder."""
    authority = Authority(tmp_path)
    authority.sign("server")
    ours = authority.sign("agent")
    return (f"--server-ca={authority.ca}", f"--tls-cert={ours.cert}", f"--tls-key={ours.key}")


@pytest.fixture
def world(tmp_path: Path, flags: tuple[str, ...]) -> Iterator[World]:
    world = World(tmp_path, customer_ids=[CUSTOMER])
    certificate = tmp_path / "authority-server"
    world.server.arguments = [
        *world.server.arguments,
        f"--tls-cert={certificate.with_suffix('.crt')}",
        f"--tls-key={certificate.with_suffix('.key')}",
        f"--tls-client-ca={tmp_path / 'authority.pem'}",
    ]
    # The first address answers nothing: the second is found by itself.
    world.agent = agent_program(
        tmp_path / "agent",
        port=world.agent_port,
        server_port=free_port(),
        token_file=tmp_path / "agent.token",
        extra=[f"--server=127.0.0.1:{world.grpc_port}", *flags],
    )
    world.start()
    yield world
    world.stop()


def record(world: World) -> None:
    when = Timestamp()
    when.FromDatetime(world.event_time)
    event = usage_pb2.UsageEvent(
        event_id="event-1",
        customer_id=CUSTOMER,
        event_time=when,
        quantities={"input_tokens": "150"},
    )
    with grpc.insecure_channel(world.agent_address) as channel:
        stub = agent_pb2_grpc.AgentServiceStub(channel)
        stub.RecordUsage(agent_pb2.RecordUsageRequest(events=[event]), timeout=10)


@pytest.mark.timeout(120)
def test_usage_is_billed_over_mutual_tls_through_the_second_address(
    world: World, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    assert f"gRPC 127.0.0.1:{world.grpc_port} (TLS)" in world.server.log_path.read_text()
    record(world)
    world.drain()
    # The server runs on a test clock, and that is all the doctor finds.
    with pytest.raises(ProgramError, match="CLOCK_OFF") as caught:
        run_command(
            "meter-agent",
            "doctor",
            f"--data-dir={tmp_path / 'agent'}",
            f"--listen={world.agent_address}",
            f"--server=127.0.0.1:{world.grpc_port}",
            f"--token-file={tmp_path / 'agent.token'}",
            *flags,
        )
    found = str(caught.value)
    assert "its certificate is accepted" in found
    assert "the server takes it" in found
    assert "\n1 errors, " in found
    # 150 tokens at $0.01 each.
    assert world.close_month() == {CUSTOMER: ("150", "1.50")}
