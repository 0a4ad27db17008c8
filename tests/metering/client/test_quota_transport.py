"""The wire for quota: what a failed call means."""

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from metering.api.v1.agent_pb2 import ReserveQuotaRequest, ReserveQuotaResponse
from metering.client.quota_transport import (
    AgentAwayError,
    GrpcQuotaTransport,
    reason_from_details,
)
from metering.errors import AlreadyExistsError, NotFoundError, ValidationError
from metering.testing import FakeAgent
from tests.support.fault_proxy import Fault, FaultProxy

REQUEST = ReserveQuotaRequest(
    reservation_id="r-1", customer_id="acme", quantities={"output_tokens": "10"}
)


def test_a_call_and_a_begun_call_carry_the_same_request() -> None:
    with FakeAgent() as agent:
        transport = GrpcQuotaTransport(agent.address)
        called = transport.call(REQUEST, timeout_seconds=10)
        begun = transport.begin(REQUEST, timeout_seconds=10)
        answer = begun.result()
        transport.close()
        assert isinstance(called, ReserveQuotaResponse)
        assert isinstance(answer, ReserveQuotaResponse)
        assert dict(called.granted) == dict(answer.granted) == {"output_tokens": "10"}


def test_an_agent_on_a_busy_host_that_shakes_hands_slowly_is_waited_for() -> None:
    with FakeAgent() as agent, FaultProxy(int(agent.address.rpartition(":")[2])) as proxy:
        proxy.fault = Fault.DELAY
        transport = GrpcQuotaTransport(f"127.0.0.1:{proxy.port}")
        answer = transport.call(REQUEST, timeout_seconds=10)
        transport.close()
    assert isinstance(answer, ReserveQuotaResponse)
    assert dict(answer.granted) == {"output_tokens": "10"}


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
    ],
)
def test_an_agent_that_does_not_answer_or_knows_no_quota_is_away(code: grpc.StatusCode) -> None:
    with FakeAgent() as agent:
        transport = GrpcQuotaTransport(agent.address)
        agent.fail_always(code)
        with pytest.raises(AgentAwayError) as caught:
            transport.call(REQUEST, timeout_seconds=10)
        transport.close()
        assert caught.value.reason == f"RPC_{code.name}"


@pytest.mark.parametrize(
    ("code", "error_type"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, ValidationError),
        (grpc.StatusCode.NOT_FOUND, NotFoundError),
    ],
)
def test_a_refusal_is_an_error_of_its_kind(
    code: grpc.StatusCode, error_type: type[Exception]
) -> None:
    with FakeAgent() as agent:
        transport = GrpcQuotaTransport(agent.address)
        agent.fail_always(code, message="ttl must be 1 s to 1 h")
        with pytest.raises(error_type, match="ttl must be 1 s to 1 h"):
            transport.begin(REQUEST, timeout_seconds=10).result()
        transport.close()


def test_a_refusal_carries_the_reason_of_the_agent() -> None:
    other = ReserveQuotaRequest(reservation_id="r-1", customer_id="acme", quantities={"a": "1"})
    with FakeAgent() as agent:
        transport = GrpcQuotaTransport(agent.address)
        transport.call(REQUEST, timeout_seconds=10)
        with pytest.raises(AlreadyExistsError) as caught:
            transport.call(other, timeout_seconds=10)
        transport.close()
        assert caught.value.reason == "RESERVATION_ID_REUSED"


def test_a_call_on_a_closed_channel_meets_no_agent() -> None:
    transport = GrpcQuotaTransport("127.0.0.1:1")
    transport.close()
    for call in (transport.call, transport.begin):
        with pytest.raises(AgentAwayError) as caught:
            call(REQUEST, timeout_seconds=1)
        assert caught.value.reason == "METER_CLOSED"


def test_a_begun_call_that_is_given_up_is_over() -> None:
    with FakeAgent() as agent:
        agent.delay(0.2)
        transport = GrpcQuotaTransport(agent.address)
        call = transport.begin(REQUEST, timeout_seconds=10)
        call.cancel()
        with pytest.raises(AgentAwayError):
            call.result()
        transport.close()


def test_the_reason_is_read_from_the_details_among_others() -> None:
    status = status_pb2.Status(code=code_pb2.NOT_FOUND, message="no such reservation")
    for detail in (
        error_details_pb2.RetryInfo(),
        error_details_pb2.ErrorInfo(reason="RESERVATION_UNKNOWN", domain="metering"),
    ):
        status.details.add().Pack(detail)
    assert reason_from_details(status.SerializeToString()) == "RESERVATION_UNKNOWN"


@pytest.mark.parametrize("details", [b"", b"\xff", b"\x1a\x05hello", b"\x1a\x02\x0a\x00"])
def test_details_of_another_kind_give_no_reason(details: bytes) -> None:
    assert reason_from_details(details) == ""
