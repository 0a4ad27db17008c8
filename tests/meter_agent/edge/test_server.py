"""The server: health, reflection, addresses that are in use, a stop that lets calls end."""

import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from meter_agent.core.positions import Positions
from meter_agent.edge.addresses import Address
from meter_agent.edge.agent_service import AgentService
from meter_agent.edge.server import SERVICE_NAME, AgentServer
from metering.api.v1 import agent_pb2
from metering.clock import SystemClock
from metering.errors import InvalidStateError
from tests.meter_agent.support import RunningAgent, events, wait_until


def test_health_is_served_for_the_whole_and_for_the_service(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        stub = health_pb2_grpc.HealthStub(agent.channel)
        for name in ("", SERVICE_NAME):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_stop_is_announced_while_calls_are_still_served(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        agent.agent._server.announce_stop()
        stub = health_pb2_grpc.HealthStub(agent.channel)
        for name in ("", SERVICE_NAME):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert agent.record(events("a")).accepted_count == 1


def test_reflection_lists_the_service(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        stub = reflection_pb2_grpc.ServerReflectionStub(agent.channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        [answer] = stub.ServerReflectionInfo(iter([request]))
        names = [item.name for item in answer.list_services_response.service]
        assert SERVICE_NAME in names
        assert "grpc.health.v1.Health" in names


def server(*addresses: Address) -> AgentServer:
    nothing: Any = None
    service = AgentService(
        nothing, source=nothing, clock=SystemClock(), desk=nothing, unsettled=nothing
    )
    return AgentServer(service, addresses=addresses)


def test_port_zero_is_answered_with_the_port_that_was_found() -> None:
    started = server(Address(host="127.0.0.1", port=0))
    assert started.bound[0].port > 0
    started.stop()


def test_a_port_in_use_is_refused_with_the_flag() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InvalidStateError, match=f"--listen 127.0.0.1:{port}") as caught:
            server(Address(host="127.0.0.1", port=port))
    assert caught.value.reason == "ADDRESS_IN_USE"


def test_two_agents_never_share_a_port() -> None:
    first = server(Address(host="127.0.0.1", port=0))
    with pytest.raises(InvalidStateError):
        server(first.bound[0])
    first.stop()


def test_a_socket_is_made_for_its_group_and_removed_at_the_stop(tmp_path: Path) -> None:
    with RunningAgent(tmp_path):
        path = tmp_path / "agent.sock"
        assert path.stat().st_mode & 0o777 == 0o660
    assert not path.exists()


def test_a_stop_answers_the_calls_in_flight(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        inside, release = threading.Event(), threading.Event()

        def hold(state: Positions) -> Positions:
            inside.set()
            release.wait(10)
            return state

        holder = threading.Thread(target=lambda: agent.agent._writer.change(hold))
        holder.start()
        assert inside.wait(10)
        call = agent.stub.RecordUsage.future(agent_pb2.RecordUsageRequest(events=events("a")))
        wait_until(lambda: agent.agent._writer._queued_bytes > 0)
        stopping = threading.Thread(target=agent.agent.stop)
        stopping.start()
        release.set()
        assert call.result(timeout=10).accepted_count == 1
        stopping.join(10)
        holder.join(10)


def test_a_stop_leaves_the_socket_of_a_successor_alone(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    stopping = server(Address(socket_path=path))
    # The successor finds nobody listening, as while the last calls of the first one end.
    path.unlink()
    successor = server(Address(socket_path=path))
    stopping._release()
    assert path.is_socket()
    successor.stop()
    assert not path.exists()
