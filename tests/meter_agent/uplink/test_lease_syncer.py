"""The syncer against a server: grants, recalls, changed limits, identity, restarts, few calls."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meter_agent.core.quota.lease import Lease
from meter_agent.uplink.sync_pace import Turn
from metering.api.v1 import agent_pb2, lease_pb2
from tests.meter_agent.fake_leases import Escrow
from tests.meter_agent.fake_server import SESSION_ANSWER_NO, TOKEN, FakeServer
from tests.meter_agent.support import WAIT_SECONDS, RunningAgent, wait_until


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def escrow(server: FakeServer) -> Escrow:
    return server.leases.limit("acme", "daily", 10_000)


@pytest.fixture
def agent(server: FakeServer, escrow: Escrow, tmp_path: Path) -> Iterator[RunningAgent]:
    with running_agent(server, tmp_path) as running:
        yield running


def running_agent(server: FakeServer, directory: Path) -> RunningAgent:
    return RunningAgent(directory, server=server.address, token=TOKEN)


def reserve(
    agent: RunningAgent, reservation_id: str = "r-1", amount: int = 100, customer: str = "acme"
) -> Any:
    request = agent_pb2.ReserveQuotaRequest(
        reservation_id=reservation_id,
        customer_id=customer,
        quantities={"output_tokens": str(amount)},
    )
    return agent.stub.ReserveQuota(request, timeout=WAIT_SECONDS)


def is_granted(answer: agent_pb2.ReserveQuotaResponse) -> bool:
    return answer.decision == agent_pb2.DECISION_GRANTED


def leases(agent: RunningAgent) -> list[Lease]:
    return agent.agent._quota.counter.book.all_leases()


def test_numbers_of_syncs_and_sessions_rise_and_a_repeat_keeps_its_own(
    agent: RunningAgent, server: FakeServer
) -> None:
    for number in range(5):
        assert is_granted(reserve(agent, f"r-{number}", amount=500))
    assert server.wait_for(lambda: len(server.leases.syncs) >= 3)
    seen: dict[int, bytes] = {}
    for request in server.leases.syncs:
        assert seen.setdefault(request.sync_no, request.nonce) == request.nonce
    numbers = [request.sync_no for request in server.leases.syncs]
    assert numbers == sorted(numbers)
    assert numbers[0] == server.sessions[0].sync_no + 1
    assert server.sessions[0].has_leases


def test_each_sync_names_the_answer_that_was_heard_before(
    agent: RunningAgent, server: FakeServer
) -> None:
    for number in range(5):
        assert is_granted(reserve(agent, f"r-{number}", amount=500))
    assert server.wait_for(lambda: len({each.sync_no for each in server.leases.syncs}) >= 3)
    first = server.leases.syncs[0].sync_no
    for request in server.leases.syncs:
        before = 1_000 + request.sync_no - 1
        assert request.heard_answer_no == (
            SESSION_ANSWER_NO if request.sync_no == first else before
        )


def test_the_first_sync_of_a_session_tells_all_leases_and_later_ones_what_changed(
    agent: RunningAgent, server: FakeServer
) -> None:
    reserve(agent)
    assert server.wait_for(lambda: any(request.leases for request in server.leases.syncs))
    told = next(request for request in server.leases.syncs if request.leases)
    [counters] = told.leases
    assert (counters.held, counters.consumed) == (100, 0)
    [want] = told.wants
    assert (want.customer_id, want.limit_key, want.largest_call) == ("acme", "daily", 100)


def test_a_recall_is_answered_at_once(
    agent: RunningAgent, server: FakeServer, escrow: Escrow
) -> None:
    server.leases.is_growing = False
    reserve(agent)
    assert server.wait_for(lambda: len(server.leases.syncs) >= 1)
    server.leases.recall("acme", "daily")
    assert server.wait_for(lambda: escrow.out == 100)
    assert server.wait_for(lambda: not any(item.is_recalled for item in escrow.leases.values()))


def test_a_recall_is_answered_at_once_however_often_the_agent_has_synced(
    agent: RunningAgent, server: FakeServer, escrow: Escrow, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.leases.is_growing = False
    reserve(agent)
    assert server.wait_for(lambda: len(server.leases.syncs) >= 1)
    syncer = agent.agent._quota._syncer
    assert syncer is not None
    turns: list[Turn] = []
    owed_turn = syncer._pace.owed_turn

    def noted(*, now: float) -> Turn:
        syncer._pace._tokens = -1.0  # As behind a burst of renewals.
        turns.append(owed_turn(now=now))
        return turns[-1]

    monkeypatch.setattr(syncer._pace, "owed_turn", noted)
    server.leases.recall("acme", "daily")
    assert server.wait_for(lambda: escrow.out == 100)
    assert [turn.wait_seconds for turn in turns] == [0.0]
    assert turns[0].calm_seconds > 0
    assert server.wait_for(lambda: any(item.HasField("calm") for item in server.leases.syncs))


def test_what_a_given_up_sync_told_is_told_anew_under_the_next_number(
    agent: RunningAgent, server: FakeServer
) -> None:
    # The server may hear it behind the one that repeats it, and what is held may fall.
    server.leases.is_growing = False
    reserve(agent)
    quota = agent.agent._quota
    assert server.wait_for(lambda: len(server.leases.syncs) >= 1)
    wait_until(lambda: all(map(quota.state.is_told, leases(agent))))
    wait_until(lambda: not server.leases.syncs[-1].leases)
    hanging = server.leases.syncs[-1].sync_no
    reserve(agent, "r-2")
    for _ in range(2):
        count = len(server.leases.syncs)
        quota._syncer.poke()
        assert server.wait_for(lambda count=count: len(server.leases.syncs) > count)
    server.leases.limit("acme", "daily", 20_000)
    assert server.wait_for(lambda: server.leases.syncs[-1].sync_no == hanging + 1)
    told = {request.sync_no: request for request in reversed(server.leases.syncs)}
    assert [item.held for item in told[hanging + 1].leases] == [200]


def test_a_raised_limit_un_refuses_within_one_round_trip(
    agent: RunningAgent, server: FakeServer
) -> None:
    assert not is_granted(reserve(agent, amount=20_000))
    server.leases.limit("acme", "daily", 30_000)
    assert is_granted(reserve(agent, "r-2", amount=20_000))


def test_changed_terms_reach_the_agent_by_the_hanging_sync(
    agent: RunningAgent, server: FakeServer
) -> None:
    reserve(agent)
    assert server.wait_for(lambda: len(server.leases.syncs) >= 1)
    server.leases.limit("acme", "daily", 7, enforcement=lease_pb2.ENFORCEMENT_SOFT)
    book = agent.agent._quota.counter.book
    wait_until(lambda: book.all_terms()[0].limits[0].max == 7)


def test_each_session_names_the_customers_whose_limits_are_known_here_in_pages(
    agent: RunningAgent, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meter_agent.uplink.lease_syncer.CUSTOMERS_NAMED_MAX", 1)
    server.leases.know("bolt")
    reserve(agent)
    reserve(agent, "r-2", customer="bolt")
    # The disk takes another id, of which the server knows no customer.
    server.leases.results.append(lease_pb2.LEASE_RESULT_IDENTITY_TAKEN)
    assert server.wait_for(lambda: len(server.sessions) == 2)
    before = len(server.leases.syncs)
    assert server.wait_for(lambda: len(server.leases.syncs) >= before + 3)
    named = [list(request.customer_ids) for request in server.leases.syncs[before:]]
    assert sorted(named[:2]) == [["acme"], ["bolt"]]
    assert named[2] == []
    assert [request.answer_at_once for request in server.leases.syncs[before : before + 2]] == [
        True,
        False,
    ]


def test_a_hold_that_was_settled_elsewhere_is_dropped_and_told(
    agent: RunningAgent, server: FakeServer
) -> None:
    reserve(agent)
    assert server.wait_for(lambda: len(server.leases.syncs) >= 1)
    server.leases.settle_elsewhere("acme", "r-1")
    assert server.wait_for(lambda: bool(server.leases.dropped))
    assert [lease.held for lease in leases(agent)] == [0]


def test_a_fenced_sync_opens_a_session(agent: RunningAgent, server: FakeServer) -> None:
    reserve(agent)
    session_count = len(server.sessions)
    server.leases.results.append(lease_pb2.LEASE_RESULT_FENCED)
    assert server.wait_for(lambda: not server.leases.results)
    assert server.wait_for(lambda: len(server.sessions) > session_count)
    assert is_granted(reserve(agent, "r-2"))


def test_a_taken_identity_gives_all_leases_up_and_takes_another_disk_id(
    agent: RunningAgent, server: FakeServer
) -> None:
    reserve(agent)
    before = server.sessions[-1].disk_id
    server.leases.results.append(lease_pb2.LEASE_RESULT_IDENTITY_TAKEN)
    assert server.wait_for(lambda: server.sessions[-1].disk_id != before)
    assert server.sessions[-1].previous_disk_id == before
    now_us = agent.agent._quota.counter.book.clock.now_us()
    assert not any(lease.is_usable(now_us) for lease in leases(agent) if lease.is_closed)
    assert any(lease.is_closed for lease in leases(agent))


def test_leases_are_spent_again_only_after_a_session(server: FakeServer, tmp_path: Path) -> None:
    server.leases.limit("acme", "daily", 10_000)
    with running_agent(server, tmp_path) as agent:
        assert is_granted(reserve(agent, amount=1_000))
    server.stop()
    with running_agent(server, tmp_path) as agent:
        denied = reserve(agent, "r-2", amount=10)
        assert denied.denial.reason == "SERVER_AWAY"
        assert [lease.held for lease in leases(agent)] == [1_000]
        server.start()
        book = agent.agent._quota.counter.book
        wait_until(lambda: any(item.is_usable(book.clock.now_us()) for item in leases(agent)))
        assert is_granted(reserve(agent, "r-3", amount=10))
        assert len(server.sessions[-1].leases) == 1


def test_leases_in_hand_last_through_an_outage_then_the_limits_policy_holds(
    agent: RunningAgent, server: FakeServer
) -> None:
    assert is_granted(reserve(agent, "r-0", amount=100))
    free = sum(lease.free for lease in leases(agent))
    assert free > 0
    server.stop()
    assert is_granted(reserve(agent, "r-1", amount=free))
    assert reserve(agent, "r-2", amount=1).denial.reason == "SERVER_AWAY"
    state = agent.agent._quota.state
    assert state.figures.offline_since is not None
    server.start()
    wait_until(lambda: is_granted(reserve(agent, "r-3", amount=1)))


def test_an_idle_agent_that_was_never_asked_makes_no_syncs(
    agent: RunningAgent, server: FakeServer
) -> None:
    assert server.wait_for(lambda: len(server.sessions) == 1)
    syncer = agent.agent._quota._syncer
    assert syncer is not None
    syncer.poke()
    assert server.leases.syncs == []
