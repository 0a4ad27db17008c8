"""The fake agent keeps what it gets and does as it is told."""

import grpc
import pytest

from metering.api.v1.agent_pb2 import (
    GetAgentStatusRequest,
    ListUnsettledReservationsRequest,
    RecordUsageRequest,
)
from metering.api.v1.agent_pb2_grpc import AgentServiceStub
from metering.api.v1.usage_pb2 import UsageEvent
from metering.testing import FakeAgent


def _request(*names: str) -> RecordUsageRequest:
    return RecordUsageRequest(
        events=[UsageEvent(event_id=name, customer_id="acme") for name in names]
    )


def _stub(channel: grpc.Channel) -> AgentServiceStub:
    return AgentServiceStub(channel)


def test_it_keeps_what_it_gets_and_counts_each_id_once() -> None:
    with FakeAgent() as agent, grpc.insecure_channel(agent.address) as channel:
        for names in (("a", "b"), ("b",)):
            answer = _stub(channel).RecordUsage(_request(*names))
            assert (answer.accepted_count, answer.agent_id) == (len(names), "fake-agent")
        assert [event.event_id for event in agent.events] == ["a", "b", "b"]
        assert set(agent.counted_events) == {("acme", "a"), ("acme", "b")}
        assert len(agent.requests) == 2
        assert agent.wait_for_event_count(2, timeout=0)
        assert not agent.wait_for_event_count(3, timeout=0)
        assert _stub(channel).GetAgentStatus(GetAgentStatusRequest()).accepted_count == 3


def test_it_fails_as_often_as_it_is_told() -> None:
    with FakeAgent() as agent, grpc.insecure_channel(agent.address) as channel:
        agent.fail_next(1, code=grpc.StatusCode.RESOURCE_EXHAUSTED, message="full")
        with pytest.raises(grpc.RpcError) as caught:
            _stub(channel).RecordUsage(_request("a"))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert caught.value.details() == "full"
        assert agent.events == []
        assert _stub(channel).RecordUsage(_request("a")).accepted_count == 1


def test_it_fails_until_it_recovers() -> None:
    with FakeAgent() as agent, grpc.insecure_channel(agent.address) as channel:
        agent.fail_always()
        for _ in range(3):
            with pytest.raises(grpc.RpcError):
                _stub(channel).RecordUsage(_request("a"))
        agent.recover()
        assert _stub(channel).RecordUsage(_request("a")).accepted_count == 1


def test_it_rejects_single_events() -> None:
    with FakeAgent() as agent, grpc.insecure_channel(agent.address) as channel:
        agent.reject_where(lambda event: ("BAD", "no") if event.event_id == "b" else None)
        answer = _stub(channel).RecordUsage(_request("a", "b", "c"))
        (rejected,) = answer.rejected
        assert (answer.accepted_count, rejected.index, rejected.event_id) == (2, 1, "b")
        assert (rejected.reason, rejected.message) == ("BAD", "no")


def test_a_lost_answer_has_been_recorded_all_the_same() -> None:
    with FakeAgent() as agent, grpc.insecure_channel(agent.address) as channel:
        agent.lose_answers(1)
        with pytest.raises(grpc.RpcError):
            _stub(channel).RecordUsage(_request("a"))
        assert len(agent.events) == 1


def test_it_comes_back_at_the_same_address_with_what_it_had() -> None:
    agent = FakeAgent().start()
    address = agent.address
    with grpc.insecure_channel(address) as channel:
        _stub(channel).RecordUsage(_request("a"))
    agent.stop()
    agent.stop()
    agent.start()
    assert agent.address == address
    with grpc.insecure_channel(address) as channel:
        _stub(channel).RecordUsage(_request("b"), wait_for_ready=True, timeout=10)
    agent.stop()
    assert len(agent.events) == 2


def test_what_it_does_not_have_is_unimplemented() -> None:
    with FakeAgent() as agent, grpc.insecure_channel(agent.address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            _stub(channel).ListUnsettledReservations(ListUnsettledReservationsRequest())
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
