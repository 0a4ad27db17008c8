"""`ACK_LEVEL_SERVER`: answered once the server has applied it, durable whatever happens."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from metering.api.v1 import agent_pb2, usage_pb2
from metering.api.v1.usage_pb2 import ACK_LEVEL_SERVER
from metering.rpc import error_from_rpc
from tests.meter_agent.fake_server import TOKEN, FakeServer, Fault
from tests.meter_agent.support import WAIT_SECONDS, RunningAgent, event, events, wait_until


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as fake:
        yield fake


@pytest.fixture
def agent(tmp_path: Path, server: FakeServer) -> Iterator[RunningAgent]:
    with RunningAgent(tmp_path, server=server.address, token=TOKEN) as running:
        yield running


def record(
    agent: RunningAgent, items: list[usage_pb2.UsageEvent], *, timeout: float = WAIT_SECONDS
) -> agent_pb2.RecordUsageResponse:
    request = agent_pb2.RecordUsageRequest(events=items, ack_level=ACK_LEVEL_SERVER)
    return agent.stub.RecordUsage(request, timeout=timeout)


def test_ok_means_that_the_server_has_applied_it(agent: RunningAgent, server: FakeServer) -> None:
    for number in range(5):
        answer = record(agent, events(f"a-{number}", f"b-{number}"))
        assert answer.accepted_count == 2
        assert (f"b-{number}", "acme") in server.books.counted


def test_bad_events_are_named_and_the_good_ones_waited_for(
    agent: RunningAgent, server: FakeServer
) -> None:
    answer = record(agent, [event("good"), event("bad", quantities={"n": "-1"})])
    assert (answer.accepted_count, [item.index for item in answer.rejected]) == (1, [1])
    assert list(server.books.counted) == [("good", "acme")]
    # Where none is good there is nothing to wait for.
    assert record(agent, [event("bad", quantities={"n": "-1"})]).accepted_count == 0


def test_an_event_that_the_server_refuses_for_good_is_not_answered_ok(
    agent: RunningAgent, server: FakeServer
) -> None:
    server.refused_ids = {"bad"}
    record(agent, events("before"))
    with pytest.raises(grpc.RpcError) as caught:
        record(agent, events("bad"))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "refused_block" in (caught.value.details() or "")
    assert "bad is bad" in (caught.value.details() or "")
    # Whoever comes behind it is answered for its own events.
    assert record(agent, events("after")).accepted_count == 1
    assert [name for name, _ in server.books.counted] == ["before", "after"]
    status = agent.status()
    # 3 accepted = 2 counted + 1 declared lost: it is known where each of them is.
    assert (status.declared_lost_count, status.refused_event_count) == (1, 1)
    assert status.imbalance_count == 0


def test_the_level_counts_also_where_an_event_cannot_be_parsed(
    agent: RunningAgent, server: FakeServer
) -> None:
    request = agent_pb2.RecordUsageRequest(events=events("one", "bad"), ack_level=ACK_LEVEL_SERVER)
    answer = agent.record_bytes(request.SerializeToString().replace(b"bad", b"b\xffd"))
    assert answer.accepted_count == 1
    assert list(server.books.counted) == [("one", "acme")]


def test_past_the_deadline_the_events_are_durable_and_arrive_later(
    agent: RunningAgent, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Time for the answer to arrive within the deadline, on a slow machine too: 0.3 of 3 s.
    monkeypatch.setattr("meter_agent.edge.agent_service.ANSWER_SECONDS", 0.3)
    server.stop()
    with pytest.raises(grpc.RpcError) as caught:
        record(agent, events("late"), timeout=3.0)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "will be counted once" in caught.value.details()
    assert error_from_rpc(caught.value).reason == "NOT_APPLIED_IN_TIME"
    assert agent.status().buffered_event_count == 1
    server.start()
    assert server.wait_for_event_count(1)
    # The retry under the same id counts nothing twice.
    assert record(agent, events("late")).accepted_count == 1
    assert len(server.books.counted) == 1


def test_a_lost_ack_and_a_fenced_session_only_take_longer(
    agent: RunningAgent, server: FakeServer
) -> None:
    for fault in (Fault.ACK_LOST, Fault.UNAVAILABLE, Fault.FENCED):
        server.faults.append(fault)
        record(agent, events(fault.name))
        assert (fault.name, "acme") in server.books.counted


def test_a_call_that_waits_goes_on_when_the_server_comes_back(
    agent: RunningAgent, server: FakeServer
) -> None:
    server.stop()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(record, agent, events("patient"))
        wait_until(lambda: agent.status().buffered_event_count == 1)
        assert not waiting.done()
        server.start()
        assert waiting.result(WAIT_SECONDS).accepted_count == 1


def test_a_stop_lets_go_who_waits_and_says_that_the_events_are_kept(
    tmp_path: Path, server: FakeServer
) -> None:
    server.stop()
    with (
        ThreadPoolExecutor(1) as pool,
        RunningAgent(tmp_path, server=server.address, token=TOKEN) as agent,
    ):
        waiting = pool.submit(record, agent, events("kept"))
        wait_until(lambda: agent.status().buffered_event_count == 1)
        agent.agent.stop()
        with pytest.raises(grpc.RpcError, match="will be counted") as caught:
            waiting.result(WAIT_SECONDS)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    with RunningAgent(tmp_path) as agent:
        assert agent.status().buffered_event_count == 1


def test_an_agent_without_a_server_says_so_and_records_nothing(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        with pytest.raises(grpc.RpcError, match="--server") as caught:
            record(agent, events("a"))
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert agent.status().next_seq == 1
