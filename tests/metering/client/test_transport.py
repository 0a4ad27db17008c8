"""Failures of the wire are sorted by what they ask for; the channel finds an agent that is back."""

import os

import grpc
import pytest

from metering.api.v1.agent_pb2 import RecordUsageRequest
from metering.api.v1.usage_pb2 import UsageEvent
from metering.client.delivery import FailureKind
from metering.client.transport import (
    GrpcTransport,
    TransportError,
    client_metadata,
    failure_kind,
)
from metering.testing import FakeAgent

REQUEST = RecordUsageRequest(
    events=[UsageEvent(event_id=name, customer_id="acme") for name in ("a", "b")]
).SerializeToString()


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("UNAVAILABLE", "", FailureKind.TRANSIENT),
        ("DEADLINE_EXCEEDED", "", FailureKind.TRANSIENT),
        ("RESOURCE_EXHAUSTED", "the disk budget is spent", FailureKind.TRANSIENT),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (5 vs. 4)", FailureKind.REFUSED),
        ("INVALID_ARGUMENT", "", FailureKind.REFUSED),
        ("INTERNAL", "", FailureKind.INTERNAL),
        ("UNKNOWN", "", FailureKind.INTERNAL),
        # These wait for the operator: dropping usage would be worse.
        ("UNAUTHENTICATED", "", FailureKind.TRANSIENT),
        ("PERMISSION_DENIED", "", FailureKind.TRANSIENT),
        ("UNIMPLEMENTED", "", FailureKind.TRANSIENT),
        ("ABORTED", "", FailureKind.TRANSIENT),
    ],
)
def test_each_status_asks_for_one_thing(code: str, message: str, kind: FailureKind) -> None:
    assert failure_kind(code, message=message) is kind


def test_an_answer_names_the_rejected_events() -> None:
    with FakeAgent() as agent:
        agent.reject_where(lambda event: ("BAD", "no b") if event.event_id == "b" else None)
        transport = GrpcTransport(agent.address)
        (rejection,) = transport.record_usage(REQUEST, timeout_seconds=5)
        transport.close()
    assert (rejection.index, rejection.refusal.reason) == (1, "BAD")
    assert rejection.refusal.message == "no b"
    assert [event.event_id for event in agent.events] == ["a"]


@pytest.mark.parametrize(
    ("environment", "program", "name"),
    [
        ({}, "/srv/app/serve.py", "serve.py"),
        ({"OTEL_SERVICE_NAME": "chat"}, "serve.py", "chat"),
        ({"OTEL_SERVICE_NAME": "chat", "METER_SERVICE_NAME": "chat api/ü"}, "x", "chat-api--"),
        ({"METER_SERVICE_NAME": "x" * 100}, "x", "x" * 64),
        ({}, "", "python"),
    ],
)
def test_the_agent_is_told_which_service_calls(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], program: str, name: str
) -> None:
    for variable in ("METER_SERVICE_NAME", "OTEL_SERVICE_NAME"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr("sys.argv", [program])
    assert client_metadata() == (("x-meter-client", f"{name}/{os.getpid()}"),)


def test_a_failed_request_tells_code_and_message() -> None:
    with FakeAgent() as agent:
        agent.fail_next(1, code=grpc.StatusCode.INVALID_ARGUMENT, message="too many events")
        transport = GrpcTransport(agent.address)
        with pytest.raises(TransportError, match="INVALID_ARGUMENT: too many events") as caught:
            transport.record_usage(REQUEST, timeout_seconds=5)
        transport.close()
    assert caught.value.failure.kind is FailureKind.REFUSED


def test_a_slow_agent_is_a_transient_failure() -> None:
    with FakeAgent() as agent:
        agent.delay(2.0)
        transport = GrpcTransport(agent.address)
        with pytest.raises(TransportError, match="DEADLINE_EXCEEDED") as caught:
            transport.record_usage(REQUEST, timeout_seconds=0.2)
        transport.close()
    assert caught.value.failure.kind is FailureKind.TRANSIENT


def test_a_message_larger_than_the_agent_takes_is_at_fault_itself() -> None:
    big = UsageEvent(event_id="e", dimensions={"d": "x" * (5 * 1024 * 1024)})
    with FakeAgent() as agent:
        transport = GrpcTransport(agent.address)
        with pytest.raises(TransportError, match="RESOURCE_EXHAUSTED") as caught:
            transport.record_usage(
                RecordUsageRequest(events=[big]).SerializeToString(), timeout_seconds=5
            )
        transport.close()
    assert caught.value.failure.kind is FailureKind.REFUSED


def test_a_request_on_a_closed_connection_is_transient() -> None:
    transport = GrpcTransport("127.0.0.1:1")
    transport.close()
    with pytest.raises(TransportError, match="CANCELLED") as caught:
        transport.record_usage(REQUEST, timeout_seconds=1)
    assert caught.value.failure.kind is FailureKind.TRANSIENT


def test_the_same_connection_finds_an_agent_that_is_back() -> None:
    agent = FakeAgent().start()
    transport = GrpcTransport(agent.address)
    assert transport.record_usage(REQUEST, timeout_seconds=5) == ()
    agent.stop()
    with pytest.raises(TransportError, match="UNAVAILABLE"):
        transport.record_usage(REQUEST, timeout_seconds=5)
    agent.start()
    for _ in range(200):
        try:
            transport.record_usage(REQUEST, timeout_seconds=5)
        except TransportError:
            agent.wait_for_request_count(2, timeout=0.05)
        else:
            break
    else:
        pytest.fail("the agent is back and was not found")
    transport.close()
    agent.stop()


def test_an_agent_on_a_unix_socket_is_reached(tmp_path: object) -> None:
    with FakeAgent(f"unix:{tmp_path}/agent.sock") as agent:
        transport = GrpcTransport(agent.address)
        assert transport.record_usage(REQUEST, timeout_seconds=5) == ()
        transport.close()
    assert len(agent.events) == 2
