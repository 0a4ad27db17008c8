"""The asker: who waits is asked for together, ids are on disk first, nobody waits for long."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from meter_agent.core.quota.decide import Reach
from meter_agent.uplink.client import IngestClient
from meter_agent.uplink.lease_asker import ASK_INTERVAL_SECONDS
from meter_agent.uplink.sync_pace import SYNC_BURST, SYNCS_PER_SECOND
from metering.api.v1 import agent_pb2, lease_pb2
from tests.meter_agent.fake_server import TOKEN, FakeServer
from tests.meter_agent.support import WAIT_SECONDS, RunningAgent, wait_until


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def agent(server: FakeServer, tmp_path: Path) -> Iterator[RunningAgent]:
    with RunningAgent(tmp_path, server=server.address, token=TOKEN) as running:
        yield running


def reserve(
    agent: RunningAgent, reservation_id: str, customer_id: str = "acme"
) -> agent_pb2.ReserveQuotaResponse:
    request = agent_pb2.ReserveQuotaRequest(
        reservation_id=reservation_id,
        customer_id=customer_id,
        quantities={"output_tokens": "10"},
    )
    answer: agent_pb2.ReserveQuotaResponse = agent.stub.ReserveQuota(request, timeout=WAIT_SECONDS)
    return answer


def reserve_at_once(agent: RunningAgent, names: list[tuple[str, str]]) -> list[int]:
    decisions: list[int] = []
    threads = [
        threading.Thread(target=lambda n=name: decisions.append(reserve(agent, *n).decision))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    return decisions


def test_cold_customers_that_come_together_are_asked_for_together(
    agent: RunningAgent, server: FakeServer
) -> None:
    for number in range(40):
        server.leases.limit(f"c-{number}", "daily", 1_000)
    decisions = reserve_at_once(agent, [(f"r-{n}", f"c-{n}") for n in range(40)])
    assert decisions == [agent_pb2.DECISION_GRANTED] * 40
    assert len(server.leases.asks) < 40
    assert {name for ask in server.leases.asks for name in ask.customer_ids} == {
        f"c-{number}" for number in range(40)
    }


def test_calls_for_one_limit_share_one_lease(agent: RunningAgent, server: FakeServer) -> None:
    escrow = server.leases.limit("acme", "daily", 1_000, is_tail=True)
    decisions = reserve_at_once(agent, [(f"r-{number}", "acme") for number in range(20)])
    assert decisions == [agent_pb2.DECISION_GRANTED] * 20
    assert len(escrow.leases) == 1


def test_the_id_is_on_disk_before_it_is_asked_for_and_stays_the_same(
    agent: RunningAgent, server: FakeServer
) -> None:
    server.leases.limit("acme", "daily", 5)
    for number in range(3):
        assert reserve(agent, f"r-{number}").decision == agent_pb2.DECISION_DENIED
    ids = {item.lease_id for ask in server.leases.asks for item in ask.leases}
    assert len(ids) == 1
    server.leases.limit("acme", "daily", 50)
    assert reserve(agent, "r-9").decision == agent_pb2.DECISION_GRANTED
    book = agent.agent._quota.counter.book
    assert {item.lease_id for item in book.all_leases()} == ids


def test_a_call_names_the_last_answered_number(agent: RunningAgent, server: FakeServer) -> None:
    server.leases.limit("acme", "daily", 1_000)
    reserve(agent, "r-1")
    first = server.leases.asks[0]
    session = server.sessions[0]
    assert (first.sync_no, first.nonce, first.disk_id) == (
        session.sync_no,
        session.nonce,
        session.disk_id,
    )


def test_a_fenced_ask_opens_a_session_and_is_asked_again(
    agent: RunningAgent, server: FakeServer
) -> None:
    server.leases.limit("acme", "daily", 1_000)
    assert server.wait_for(lambda: len(server.sessions) == 1)
    server.leases.results.append(lease_pb2.LEASE_RESULT_FENCED)
    assert reserve(agent, "r-1").decision == agent_pb2.DECISION_GRANTED
    assert len(server.sessions) == 2


def test_a_server_without_leases_is_as_one_that_is_away(tmp_path: Path) -> None:
    server = FakeServer()
    server.leases.is_off = True
    with server, RunningAgent(tmp_path, server=server.address, token=TOKEN) as agent:
        assert reserve(agent, "r-1").denial.reason == "SERVER_AWAY"
        asker = agent.agent._quota._asker
        assert asker is not None
        assert asker.reach() is Reach.AWAY


def test_after_the_stop_nobody_waits(agent: RunningAgent) -> None:
    asker = agent.agent._quota._asker
    assert asker is not None
    asker.stop()
    assert asker.ask("acme", (), timeout_seconds=60) is Reach.AWAY


def test_an_unknown_customer_is_asked_for_once_a_call(
    agent: RunningAgent, server: FakeServer
) -> None:
    assert reserve(agent, "r-1", "nobody").denial.reason == "CUSTOMER_UNKNOWN"
    assert [list(ask.customer_ids) for ask in server.leases.asks] == [["nobody"]]


def test_many_cold_customers_cost_few_calls(agent: RunningAgent, server: FakeServer) -> None:
    for number in range(300):
        server.leases.limit(f"c-{number}", "daily", 1_000)
    started = time.monotonic()
    decisions = reserve_at_once(agent, [(f"r-{n}", f"c-{n}") for n in range(300)])
    seconds = time.monotonic() - started
    assert decisions == [agent_pb2.DECISION_GRANTED] * 300
    assert len(server.leases.asks) <= seconds / ASK_INTERVAL_SECONDS + 1
    assert len(server.leases.syncs) <= seconds * SYNCS_PER_SECOND + SYNC_BURST


def test_a_late_answer_is_asked_for_again_before_anything_is_refused(
    agent: RunningAgent, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire, patiences = IngestClient.acquire_lease, iter([0.1])

    def with_patience(
        client: IngestClient, request: lease_pb2.AcquireLeaseRequest, *, timeout_seconds: float
    ) -> lease_pb2.AcquireLeaseResponse:
        # The first try is over soon; the second one is answered, however slow the machine.
        return acquire(client, request, timeout_seconds=next(patiences, WAIT_SECONDS))

    monkeypatch.setattr(IngestClient, "acquire_lease", with_patience)
    server.leases.limit("acme", "daily", 1_000)
    assert server.wait_for(lambda: len(server.sessions) == 1)
    failures = agent.agent._quota.state
    with server.leases.condition:  # No ask is answered while it is held.
        decisions: list[int] = []
        caller = threading.Thread(target=lambda: decisions.append(reserve(agent, "r-1").decision))
        caller.start()
        wait_until(lambda: failures.failure_count == 1)
    caller.join(WAIT_SECONDS)
    assert decisions == [agent_pb2.DECISION_GRANTED]
    assert not failures.is_away


def test_two_late_answers_are_a_server_that_is_away(
    agent: RunningAgent, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meter_agent.uplink.lease_asker.ASK_SECONDS", 0.1)
    server.leases.limit("acme", "daily", 1_000)
    assert server.wait_for(lambda: len(server.sessions) == 1)
    state = agent.agent._quota.state
    with server.leases.condition:
        assert reserve(agent, "r-1").denial.reason == "SERVER_AWAY"
        assert state.is_away
    wait_until(lambda: reserve(agent, "r-2").decision == agent_pb2.DECISION_GRANTED)
    assert not state.is_away


def test_who_comes_during_the_last_try_does_not_wait_for_another_one(
    agent: RunningAgent, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meter_agent.uplink.lease_asker.ASK_SECONDS", 0.1)
    monkeypatch.setattr("meter_agent.uplink.lease_asker.ASK_INTERVAL_SECONDS", 0.0)
    server.leases.limit("acme", "daily", 1_000)
    assert server.wait_for(lambda: len(server.sessions) == 1)
    state = agent.agent._quota.state
    with server.leases.condition:
        caller = threading.Thread(target=reserve, args=(agent, "r-1"))
        caller.start()
        wait_until(lambda: state.failure_count == 1)
        assert reserve(agent, "r-2").denial.reason == "SERVER_AWAY"
        assert state.failure_count == 2
    caller.join(WAIT_SECONDS)


def test_one_call_tries_a_server_that_is_away_and_the_others_do_not_wait(
    agent: RunningAgent, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meter_agent.uplink.lease_asker.ASK_SECONDS", 0.1)
    monkeypatch.setattr("meter_agent.uplink.lease_asker.AWAY_RETRY_SECONDS", 0.0)
    server.leases.limit("acme", "daily", 1_000)
    assert server.wait_for(lambda: len(server.sessions) == 1)
    asker = agent.agent._quota._asker
    assert asker is not None
    decisions: list[int] = []
    with server.leases.condition:
        assert reserve(agent, "r-1").denial.reason == "SERVER_AWAY"
        monkeypatch.setattr("meter_agent.uplink.lease_asker.ASK_SECONDS", 5.0)
        caller = threading.Thread(target=lambda: decisions.append(reserve(agent, "r-2").decision))
        caller.start()
        wait_until(lambda: asker._is_asking)
        assert reserve(agent, "r-3").denial.reason == "SERVER_AWAY"
        assert decisions == []
    caller.join(WAIT_SECONDS)
    assert decisions == [agent_pb2.DECISION_GRANTED]


def test_a_busy_server_is_asked_again_and_does_not_count_as_away(
    agent: RunningAgent, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a slow machine an answer that takes longer would count, busy or not.
    monkeypatch.setattr("meter_agent.uplink.lease_asker.ASK_SECONDS", WAIT_SECONDS)
    server.leases.limit("acme", "daily", 1_000)
    assert server.wait_for(lambda: len(server.sessions) == 1)
    server.leases.busy_count = 3
    assert reserve(agent, "r-1").decision == agent_pb2.DECISION_GRANTED
    assert agent.agent._quota.state.failure_count == 0


def test_a_window_that_the_agent_has_not_heard_of_refuses_nobody(
    agent: RunningAgent, server: FakeServer
) -> None:
    server.leases.is_growing = False
    escrow = server.leases.limit("acme", "daily", 1_000, is_tail=True)
    assert reserve(agent, "r-1").decision == agent_pb2.DECISION_GRANTED
    told = server.leases.revision
    syncs = server.leases.syncs
    assert server.wait_for(lambda: bool(syncs) and syncs[-1].terms_revision == told)
    with server.leases.condition:  # No sync tells of it.
        escrow.terms.window_id = "w2"
    assert reserve(agent, "r-2").decision == agent_pb2.DECISION_GRANTED
    assert [item.window_id for item in escrow.leases.values()] == ["w1", "w2"]


def test_a_lease_that_the_server_has_closed_refuses_nobody(
    agent: RunningAgent, server: FakeServer
) -> None:
    server.leases.is_growing = False
    escrow = server.leases.limit("acme", "daily", 1_000, is_tail=True)
    assert reserve(agent, "r-1").decision == agent_pb2.DECISION_GRANTED
    with server.leases.condition:
        [lease] = escrow.leases.values()
        lease.is_closed = True
    assert reserve(agent, "r-2").decision == agent_pb2.DECISION_GRANTED
    assert len(escrow.leases) == 2


def test_nobody_waits_for_the_server_beyond_the_callers_deadline(
    agent: RunningAgent, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No try is over before the deadline, and the answer has 2 s to arrive within it.
    monkeypatch.setattr("meter_agent.uplink.lease_asker.ASK_SECONDS", WAIT_SECONDS)
    monkeypatch.setattr("meter_agent.uplink.lease_asker.MARGIN_SECONDS", 2.0)
    server.leases.limit("acme", "daily", 1_000)
    assert server.wait_for(lambda: len(server.sessions) == 1)
    request = agent_pb2.ReserveQuotaRequest(
        reservation_id="r-1", customer_id="acme", quantities={"output_tokens": "10"}
    )
    with server.leases.condition:
        answer = agent.stub.ReserveQuota(request, timeout=2.5)
    assert answer.denial.reason == "SERVER_AWAY"
