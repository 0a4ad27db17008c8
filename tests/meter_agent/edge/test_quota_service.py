"""Quota over real gRPC, against a server that holds the limits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from metering.api.v1 import agent_pb2
from metering.api.v1.usage_pb2 import SETTLEMENT_KIND_ELSEWHERE, SETTLEMENT_KIND_SETTLED
from metering.ids import settlement_event_id
from metering.rpc import error_from_rpc
from tests.meter_agent.fake_server import TOKEN, FakeServer
from tests.meter_agent.support import WAIT_SECONDS, RunningAgent, event, wait_until


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        running.leases.limit("acme", "daily", 1_000)
        yield running


@pytest.fixture
def agent(server: FakeServer, tmp_path: Path) -> Iterator[RunningAgent]:
    with RunningAgent(tmp_path, server=server.address, token=TOKEN) as running:
        yield running


def call(agent: RunningAgent, name: str, request: Any) -> Any:
    return getattr(agent.stub, name)(request, timeout=WAIT_SECONDS)


def reserve(agent: RunningAgent, amount: str = "100", **fields: Any) -> Any:
    request = agent_pb2.ReserveQuotaRequest(
        **{
            "reservation_id": "r-1",
            "customer_id": "acme",
            "quantities": {"output_tokens": amount},
            **fields,
        }
    )
    return call(agent, "ReserveQuota", request)


def settle(agent: RunningAgent, amount: str, **fields: Any) -> Any:
    request = agent_pb2.SettleReservationRequest(
        **{"reservation_id": "r-1", "quantities": {"output_tokens": amount}, **fields}
    )
    return call(agent, "SettleReservation", request)


def refusal(action: Any) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        action()
    return error_from_rpc(caught.value).reason


def test_a_call_is_held_settled_and_shipped_with_its_debits(
    agent: RunningAgent, server: FakeServer
) -> None:
    assert reserve(agent).decision == agent_pb2.DECISION_GRANTED
    answer = settle(agent, "60")
    assert (answer.event_id, answer.kind) == (
        settlement_event_id("acme", "r-1"),
        SETTLEMENT_KIND_SETTLED,
    )
    assert server.wait_for_event_count(1)
    escrow = server.leases.escrows["acme", "daily"]
    assert server.wait_for(lambda: escrow.settled == 60)


def test_more_than_the_limit_has_is_denied_and_a_part_granted_where_asked(
    agent: RunningAgent,
) -> None:
    denied = reserve(agent, "1001")
    assert denied.decision == agent_pb2.DECISION_DENIED
    assert (denied.denial.limit_key, denied.denial.reason) == ("daily", "LIMIT_REACHED")
    partial = reserve(
        agent, "1001", reservation_id="r-2", minimum_quantities={"output_tokens": "1"}
    )
    assert partial.decision == agent_pb2.DECISION_GRANTED_PARTIALLY
    assert dict(partial.granted) == {"output_tokens": "1000"}


def test_an_unknown_customer_is_denied_and_a_meter_without_a_limit_granted(
    agent: RunningAgent,
) -> None:
    unknown = reserve(agent, customer_id="nobody")
    assert (unknown.decision, unknown.denial.reason) == (
        agent_pb2.DECISION_DENIED,
        "CUSTOMER_UNKNOWN",
    )
    free = reserve(agent, reservation_id="r-2", quantities={"images": "5"})
    assert (free.decision, dict(free.granted)) == (agent_pb2.DECISION_GRANTED, {"images": "5"})


def test_bad_input_is_refused_with_its_reason(agent: RunningAgent) -> None:
    assert refusal(lambda: reserve(agent, "-1")) == "QUANTITY_NEGATIVE"
    reserve(agent)
    assert refusal(lambda: reserve(agent, "99")) == "RESERVATION_ID_REUSED"
    settle(agent, "60")
    assert settle(agent, "60").kind == SETTLEMENT_KIND_SETTLED
    assert refusal(lambda: settle(agent, "61")) == "SETTLEMENT_CONFLICT"
    unknown = agent_pb2.SettleReservationRequest(
        reservation_id="r-9", quantities={"output_tokens": "1"}
    )
    assert refusal(lambda: call(agent, "SettleReservation", unknown)) == "RESERVATION_UNKNOWN"
    unknown.customer_id = "acme"
    assert call(agent, "SettleReservation", unknown).kind == SETTLEMENT_KIND_ELSEWHERE
    extend = agent_pb2.ExtendReservationRequest(reservation_id="r-1")
    assert refusal(lambda: call(agent, "ExtendReservation", extend)) == "RESERVATION_ENDED"
    counted = agent.agent._service.counters.view().refused_calls
    assert counted["SETTLEMENT_CONFLICT"] == 1


def test_an_extension_adds_and_a_release_gives_back(agent: RunningAgent) -> None:
    reserve(agent)
    extend = agent_pb2.ExtendReservationRequest(
        reservation_id="r-1", quantities={"output_tokens": "900"}, request_id="x"
    )
    assert dict(call(agent, "ExtendReservation", extend).granted) == {"output_tokens": "1000"}
    check = agent_pb2.CheckQuotaRequest(customer_id="acme", quantities={"output_tokens": "1"})
    assert call(agent, "CheckQuota", check).decision == agent_pb2.DECISION_DENIED
    release = agent_pb2.ReleaseReservationRequest(reservation_id="r-1")
    assert call(agent, "ReleaseReservation", release).event_id == ""
    assert call(agent, "CheckQuota", check).decision == agent_pb2.DECISION_GRANTED


def test_usage_without_a_reservation_takes_from_the_lease_and_is_never_refused(
    agent: RunningAgent, server: FakeServer
) -> None:
    reserve(agent)
    answer = agent.record([event("e-1", quantities={"output_tokens": "5000"})])
    assert answer.accepted_count == 1
    assert server.wait_for_event_count(1)
    [recorded] = server.books.counted.values()
    assert sum(item.amount for item in recorded.debits) <= 900


def test_the_unsettled_are_listed_in_pages(agent: RunningAgent) -> None:
    for number in range(3):
        reserve(agent, "1", reservation_id=f"r-{number}")
    agent.agent._quota.keeper._late_us = 0
    book = agent.agent._quota.counter.book
    for item in book.all_reservations():
        object.__setattr__(item, "expires_at_us", 0)
    wait_until(lambda: book.unsettled_count == 3)
    request = agent_pb2.ListUnsettledReservationsRequest(page_size=2)
    first = call(agent, "ListUnsettledReservations", request)
    assert [item.reservation_id for item in first.reservations] == ["r-0", "r-1"]
    request.page_token = first.next_page_token
    second = call(agent, "ListUnsettledReservations", request)
    assert [item.reservation_id for item in second.reservations] == ["r-2"]
    assert (second.next_page_token, second.reservations[0].is_returned) == ("", True)
    request.page_size = 1_001
    reason = refusal(lambda: call(agent, "ListUnsettledReservations", request))
    assert reason == "PAGE_SIZE_OUT_OF_RANGE"


def test_an_agent_without_a_server_knows_no_limits(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        assert reserve(agent).decision == agent_pb2.DECISION_GRANTED
        assert settle(agent, "60").kind == SETTLEMENT_KIND_SETTLED
        assert agent.status().buffered_event_count == 1
