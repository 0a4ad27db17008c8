"""Syncs of leases: grants by demand, recalls, changed limits, repeats. On both databases."""

from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from billing_server.domain.catalog.limit import WindowUnit
from billing_server.domain.limit.lease import WindowKey
from billing_server.services.lease_desk import CallResult
from billing_server.services.sync_answer import Answering
from billing_server.services.sync_leases import look_again, sync_leases
from billing_server.store.limit_repository import SqlLimitRepository
from billing_server.store.unit_of_work import SqlStore
from metering.api.v1 import usage_pb2
from tests.billing_server.lease_world import LeaseWorld, want
from tests.billing_server.limit_world import debited, rolling, units


def test_one_sync_looks_at_so_many_limits_the_urgent_first_and_the_rest_comes_next(
    memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = LeaseWorld(memory_store, *(units(f"l{number}", 1_000) for number in range(5)))
    monkeypatch.setattr("billing_server.services.sync_leases.GROWN_AT_ONCE", 2)
    agent = world.leasing()
    wants = [want(f"l{number}", 10, is_urgent=number == 4) for number in range(5)]
    calm = [replace(each, is_urgent=False) for each in wants]
    granted = []
    for told in (wants, calm, calm, calm):
        agent.sync(*told)
        granted.append(sorted(each.key.limit_key for each in agent.leases.values()))
    assert granted == [
        ["l0", "l4"],
        ["l0", "l1", "l2", "l4"],
        ["l0", "l1", "l2", "l3", "l4"],
        ["l0", "l1", "l2", "l3", "l4"],
    ]


def test_one_sync_renews_so_many_leases_those_with_the_least_left_first(
    memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = LeaseWorld(memory_store, units("a", 10_000), units("b", 10_000))
    agent = world.leasing()
    wants = (want("a", 10), want("b", 10))
    agent.sync(*wants)
    before = {each.key.limit_key: each.granted for each in agent.leases.values()}
    for lease in agent.leases.values():
        lease.consumed = 149 if lease.key.limit_key == "b" else 140
    monkeypatch.setattr("billing_server.services.sync_leases.REPORTED_AT_ONCE", 1)
    agent.sync(*wants)
    after = {each.key.limit_key: each.granted for each in agent.leases.values()}
    assert (after["a"], after["b"] > before["b"]) == (before["a"], True)
    with memory_store.read() as unit:
        leases = unit.leases.of_agent(agent.ref)
    # What was told is kept of both.
    assert {each.key.limit_key: each.consumed for each in leases} == {"a": 140, "b": 149}


def test_leases_that_a_session_leaves_out_are_told_by_its_syncs_in_pages(
    memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = LeaseWorld(memory_store, *(units(f"l{number}", 1_000) for number in range(5)))
    agent = world.leasing()
    agent.sync(*(want(f"l{number}", 10) for number in range(5)))
    for module in ("open_session", "sync_answer"):
        monkeypatch.setattr(f"billing_server.services.{module}.LEASES_AT_ONCE", 2)
    agent.leases = {}
    agent.open()
    first = dict(agent.leases)
    assert len(first) == 2
    page = agent.sync(answering=Answering.WITH_NEWS).leases
    assert len(page) == 2
    # The answer was lost: the same number is told the same.
    agent.leases = first
    again = sync_leases(
        world.desk,
        agent=agent.agent,
        request=agent.request(),
        answering=Answering.WITH_NEWS,
    )
    assert [each.lease.lease_id for each in again.leases] == [each.lease.lease_id for each in page]
    agent.take_in(again)
    assert len(agent.sync(answering=Answering.WITH_NEWS).leases) == 1
    assert len(agent.leases) == 5
    assert not agent.sync(answering=Answering.WITH_NEWS).has_news


def test_demand_that_falls_is_kept_and_no_window_is_opened_for_it(memory_store: SqlStore) -> None:
    world = LeaseWorld(memory_store, units("daily", 10_000))
    agent = world.leasing()
    agent.sync(want("daily", 100))
    agent.sync(want("daily", 40))
    with memory_store.read() as unit:
        (kept,) = unit.leases.wants_of_agent(agent.ref).values()
    assert kept.demand_per_second == 40
    agent.sync()
    with memory_store.read() as unit:
        assert unit.leases.wants_of_agent(agent.ref) == {}


def test_demand_is_granted_fifteen_seconds_of_it_and_never_more_than_half(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, units("daily", 10_000))
    agent = world.leasing()
    answer = agent.sync(want("daily", 100), customer_ids=("acme",))
    assert [told.lease.granted for told in answer.leases] == [1_500]
    assert agent.known_limits == {"acme": ["daily"]}
    # What it has is told no second time, and it has enough.
    assert agent.sync(want("daily", 100)).leases == ()
    greedy = world.leasing()
    greedy.sync(want("daily", 100_000))
    assert 0 < greedy.free() <= (10_000 - 1_500) // 2


def test_a_lease_is_renewed_once_half_of_it_is_used(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 10_000))
    agent = world.leasing()
    agent.sync(want("daily", 100))
    agent.use("e1", tokens=600)
    assert agent.sync(want("daily", 100)).leases == ()
    agent.use("e2", tokens=200)
    agent.sync(want("daily", 100))
    assert agent.free() == 1_500
    assert len(agent.leases) == 1
    assert world.account("daily").settled == 800


def test_a_sync_without_news_is_not_answered_and_marks_nothing(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 10_000))
    agent = world.leasing()
    agent.sync(want("daily", 100), customer_ids=("acme",))
    waiting = agent.sync(want("daily", 100), answering=Answering.WITH_NEWS)
    assert not waiting.has_news
    news = agent.look(want("daily", 100), rung=["acme"], answering=Answering.WITH_NEWS)
    assert not news.has_news
    # What it used is known from its events, before it tells.
    agent.use("e1", tokens=1_000)
    news = agent.look(want("daily", 100), rung=["acme"], answering=Answering.WITH_NEWS)
    assert news.leases[0].lease.granted == 2_500


def test_a_sync_that_waits_holds_no_account_of_what_its_agent_knows(
    memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = LeaseWorld(memory_store, units("a", 10_000), units("b", 10_000))
    agent = world.leasing()
    for _ in range(2):  # In the second it tells what it was granted in the first.
        agent.sync(want("a", 100), want("b", 100))
    held: list[str] = []
    lock_accounts = SqlLimitRepository.lock_accounts

    def locking(limits: SqlLimitRepository, keys: Collection[WindowKey]) -> Any:
        held.extend(key.limit_key for key in keys)
        return lock_accounts(limits, keys)

    monkeypatch.setattr(SqlLimitRepository, "lock_accounts", locking)
    agent.look()
    assert held == []


def test_an_answer_that_was_lost_is_given_again_to_the_same_number(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 10_000))
    agent = world.leasing()
    first = agent.sync(want("daily", 100), customer_ids=("acme",))
    agent.leases, agent.terms_revision = {}, 0
    again = sync_leases(
        world.desk,
        agent=agent.agent,
        request=agent.request(want("daily", 100)),
        answering=Answering.WITH_NEWS,
    )
    assert again.has_news
    assert [each.lease.lease_id for each in again.leases] == [
        each.lease.lease_id for each in first.leases
    ]
    assert again.leases[0].lease.granted == first.leases[0].lease.granted
    assert [each.customer_id for each in again.customers] == ["acme"]


def test_a_number_with_another_nonce_is_the_sign_of_a_copy(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 10_000))
    agent = world.leasing()
    agent.sync(want("daily", 100))
    copied = agent.request()
    for bad in (
        replace(copied.mark, nonce=b"x" * 16),
        replace(copied.mark, sync_no=1, nonce=b"x" * 16),
    ):
        answer = sync_leases(
            world.desk,
            agent=agent.agent,
            request=replace(copied, mark=bad),
            answering=Answering.NOW,
        )
        assert answer.result is CallResult.IDENTITY_TAKEN
    # A number that this server never answered says that the server went back, not the disk.
    for ahead in (replace(copied.mark, sync_no=9), replace(copied.mark, session_no=7)):
        fenced = replace(copied, mark=ahead)
        answer = sync_leases(world.desk, agent=agent.agent, request=fenced, answering=Answering.NOW)
        assert answer.result is CallResult.FENCED


def test_raising_a_limit_reaches_the_agent_and_un_refuses_at_once(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 10))
    agent = world.leasing()
    agent.sync(want("daily", 100), customer_ids=("acme",))
    assert agent.acquire(world.key("daily"), amount=50).leases[0].lease.granted == 0
    agent.sync(want("daily", 100), answering=Answering.WITH_NEWS)
    world.limit(units("daily", 10_000))
    answer = agent.look(want("daily", 100), rung=["acme"], answering=Answering.WITH_NEWS)
    assert answer.has_news
    (told,) = answer.customers
    assert told.limits[0].maximum == 10_000
    assert agent.free() >= 50


def test_lowering_a_limit_recalls_what_is_out_beyond_it(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 10_000))
    agent = world.leasing()
    agent.sync(want("daily", 100))
    agent.use("e1", tokens=100)
    world.limit(units("daily", 500))
    agent.sync(want("daily", 100), answering=Answering.WITH_NEWS)
    agent.look(want("daily", 100), rung=["acme"])
    assert agent.free() == 0
    agent.sync(want("daily", 10))
    account = world.account("daily")
    assert account.settled == 100
    with store.read() as unit:
        live = unit.leases.of_windows([account.key])
    assert account.settled + sum(lease.rest for lease in live) <= 500


def test_what_a_call_holds_of_a_lowered_limit_is_recalled_again_once_it_may_have_ended(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, units("daily", 10_000))
    agent = world.leasing()
    assert agent.sync(want("daily", 100)).exceeded == frozenset()
    [lease] = agent.leases.values()
    lease.held = 300
    agent.sync(want("daily", 100))
    world.limit(units("daily", 1))
    agent.look(want("daily", 100), rung=["acme"])
    assert agent.sync(want("daily", 100)).exceeded == {"acme"}
    assert (lease.free, lease.recall_no) == (0, 1)
    lease.held = 0  # The call ends, and used nothing.
    assert agent.look(want("daily", 100), rung=["acme"]).leases == ()
    world.pass_time(seconds=1)
    agent.look(want("daily", 100), rung=["acme"], answering=Answering.CALMLY)
    assert (lease.free, lease.recall_no) == (0, 2)
    assert agent.sync(want("daily", 100)).exceeded == frozenset()


def test_an_urgent_want_has_the_idle_leases_of_others_recalled(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    idle, busy = world.leasing(), world.leasing()
    idle.sync(want("daily", 60))
    held = idle.free()
    assert held > 400
    busy.acquire(world.key("daily"), amount=1_000 - held)
    heard: list[str] = []
    world.store.news.listen(heard.append)
    busy.sync(want("daily", 10, is_urgent=True, largest_call=300))
    idle.look(want("daily", 60), rung=["acme"])
    assert idle.free() == 0
    idle.sync()
    busy.sync(want("daily", 10, is_urgent=True, largest_call=300))
    assert busy.acquire(world.key("daily"), amount=300).leases[0].lease.granted >= 300


def test_a_recall_told_to_a_call_that_was_given_up_is_told_anew_under_the_next_number(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    idle, busy = world.leasing(), world.leasing()
    idle.sync(want("daily", 60))
    busy.acquire(world.key("daily"), amount=1_000 - idle.free())
    busy.sync(want("daily", 10, is_urgent=True, largest_call=300))
    # The sync was given up and sent again, and the repeat answered; here the first one waits on.
    lost = look_again(
        world.desk,
        agent=idle.agent,
        request=idle.request(want("daily", 60), reports=()),
        rung=["acme"],
        answering=Answering.WITH_NEWS,
    )
    assert [told.lease.recall_no for told in lost.leases] == [1]
    assert idle.free() > 400
    idle.sync()
    assert idle.free() == 0
    # What was heard is told no more.
    assert idle.sync().leases == ()


def test_an_agent_that_does_not_say_what_it_heard_has_heard_what_it_was_told(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agent = world.leasing()
    agent.sync(want("daily", 60))
    agent.heard_answer_no = 0
    assert agent.sync(want("daily", 60)).leases == ()


def test_leases_of_the_next_window_come_before_it_begins(store: SqlStore) -> None:
    world = LeaseWorld(store, units("hourly", 10_000, unit=WindowUnit.HOUR))
    agent = world.leasing()
    agent.sync(want("hourly", 100))
    world.pass_time(minutes=59, seconds=15)
    agent.sync(want("hourly", 101))
    (later,) = [each for each in agent.leases.values() if each.told.starts_after]
    assert later.told.starts_after is not None
    assert later.told.starts_after.total_seconds() == 15
    assert later.key.window_id.startswith("2026-03-10T13:00:00Z/hour/")


def test_a_lease_ends_with_its_window_and_windows_are_never_reset(store: SqlStore) -> None:
    world = LeaseWorld(store, units("hourly", 1_000, unit=WindowUnit.HOUR))
    agent = world.leasing()
    answer = agent.sync(want("hourly", 10))
    assert answer.leases[0].remaining is not None
    assert answer.leases[0].remaining.total_seconds() == 59 * 60 + 30
    agent.use("e1", tokens=50)
    world.pass_time(hours=1)
    answer = agent.sync(want("hourly", 10), answering=Answering.WITH_NEWS)
    assert answer.has_news, "the terms of the new window"
    agent.sync(want("hourly", 11))
    new = [each for each in agent.leases.values() if each.key == world.key("hourly")]
    assert [each.granted for each in new] == [150]
    with store.read() as unit:
        settled = {each.key: each.settled for each in unit.limits.accounts("acme")}
    assert sorted(settled.values()) == [0, 50]


def test_rolling_leases_have_a_time_to_live_that_each_answer_begins_anew(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, rolling("five", 10_000, hours=5))
    agent = world.leasing()
    (told,) = agent.sync(want("five", 10)).leases
    assert told.remaining is not None
    assert told.remaining.total_seconds() == 60
    first = told.lease.expire_time
    world.pass_time(seconds=10)
    (told,) = agent.sync(want("five", 10)).leases
    assert told.lease.expire_time is not None
    assert first is not None
    assert (told.lease.expire_time - first).total_seconds() == 10


def test_a_rate_is_shared_out_so_that_the_shares_are_never_more_than_it(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, units("rate", 600, unit=WindowUnit.MINUTE, burst=Decimal(100)))
    first, second = world.leasing(), world.leasing()
    first.sync(want("rate", 5, largest_call=10))
    for _ in range(4):
        second.sync(want("rate", 5, largest_call=10))
        first.sync(want("rate", 5, largest_call=10))
        with store.read() as unit:
            live = unit.leases.of_windows([world.key("rate")])
        assert sum(lease.rate_per_minute for lease in live) <= 600
        assert sum(lease.burst for lease in live) <= 100
    holders = {lease.agent_ref for lease in live if lease.burst}
    assert holders == {first.ref, second.ref}


def test_reservations_settled_elsewhere_are_told_once_and_again_on_a_repeat(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, units("daily", 10_000))
    holder, other = world.leasing(), world.leasing()
    for agent in (holder, other):
        agent.sync(customer_ids=("acme",))
    settled = debited("e1", tokens=5, debits=[])
    settled.settlement.kind = usage_pb2.SETTLEMENT_KIND_ELSEWHERE
    other.push(settled)
    assert holder.sync(answering=Answering.WITH_NEWS).settled_elsewhere == (("acme", "r-e1"),)
    assert holder.look().settled_elsewhere == (("acme", "r-e1"),)
    assert holder.sync().settled_elsewhere == ()


@pytest.mark.parametrize("count", [3])
def test_concurrent_demand_of_many_agents_never_passes_the_limit(
    store: SqlStore, count: int
) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agents = [world.leasing() for _ in range(count)]
    for _ in range(6):
        for agent in agents:
            agent.sync(want("daily", 50))
    assert sum(agent.free() for agent in agents) <= 1_000
    assert all(agent.free() for agent in agents)
