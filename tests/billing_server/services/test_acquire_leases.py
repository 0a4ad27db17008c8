"""Acquiring at once: exact amounts, retries, refusals, recalls, restored servers."""

import threading
from dataclasses import replace
from decimal import Decimal

import pytest

from billing_server.domain.catalog.limit import Limit, LimitSubject, WindowUnit
from billing_server.domain.ports.limits import BalanceEntry
from billing_server.services.acquire_leases import (
    AcquireRequest,
    Recall,
    WantedLease,
    acquire_leases,
)
from billing_server.services.lease_desk import CallResult
from billing_server.store.unit_of_work import SqlStore, open_store
from tests.billing_server.ingest_world import NOON
from tests.billing_server.lease_world import LeaseWorld, want
from tests.billing_server.limit_world import money, units


def test_a_cold_customer_gets_what_a_call_needs_and_a_small_float(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 10_000))
    agent = world.leasing()
    answer = agent.acquire(world.key("daily"), amount=100, customer_ids=("acme",))
    (told,) = answer.leases
    assert 100 <= told.lease.granted <= 500
    assert [each.customer_id for each in answer.customers] == ["acme"]
    assert world.account("daily").maximum_granted == 10_000


def test_a_retry_is_the_same_lease(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 10_000))
    agent = world.leasing()
    request = AcquireRequest(
        mark=agent.answered, wanted=(WantedLease(b"l" * 16, world.key("daily"), 100, 100),)
    )
    answers = [
        acquire_leases(world.desk, agent=agent.agent, request=request).leases[0].lease
        for _ in range(2)
    ]
    assert answers[0].granted == answers[1].granted
    with store.read() as unit:
        assert len(unit.leases.of_windows([world.key("daily")])) == 1


def test_the_tail_is_granted_exactly_and_never_beyond_the_limit(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agents = [world.leasing() for _ in range(3)]
    for number in range(40):
        agents[number % 3].acquire(world.key("daily"), amount=90)
    assert sum(agent.free() for agent in agents) <= 1_000
    left = 1_000 - sum(agent.free() for agent in agents)
    assert left < 90
    refused = agents[0].acquire(world.key("daily"), amount=90)
    assert refused.leases[0].lease.granted == 0
    assert [each.customer_id for each in refused.customers] == ["acme"]
    if left:
        part = agents[0].acquire(world.key("daily"), amount=90, least=1)
        assert part.leases[0].lease.granted == left


def test_idle_leases_of_others_are_recalled_before_a_refusal_is_final(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    idle, busy = world.leasing(), world.leasing()
    idle.acquire(world.key("daily"), amount=900)
    answer = busy.acquire(world.key("daily"), amount=500)
    assert answer.waits_for == {Recall(lease_id, 1) for lease_id in idle.leases}
    idle.look(rung=["acme"])
    idle.sync()
    assert busy.acquire(world.key("daily"), amount=500).leases[0].lease.granted >= 500


def test_what_is_given_back_for_a_call_does_not_stand_by_again_before_it_is_granted(
    memory_store: SqlStore,
) -> None:
    world = LeaseWorld(memory_store, units("daily", 1_000))
    idle, busy = world.leasing(), world.leasing()
    wish = want("daily", 40, outage_float=900)
    idle.sync(wish)
    assert idle.free() == 500
    # All that is left is asked for: half of it stands by, and is recalled.
    assert busy.acquire(world.key("daily"), amount=900).waits_for
    idle.look(wish, rung=["acme"])
    idle.sync(wish)
    assert idle.free() == 0
    assert busy.acquire(world.key("daily"), amount=900).leases[0].lease.granted >= 900


def test_a_recall_that_nobody_answers_keeps_no_one_else_from_being_asked(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    cut_off, idle, busy = world.leasing(), world.leasing(), world.leasing()
    cut_off.acquire(world.key("daily"), amount=500, least=500)
    idle.acquire(world.key("daily"), amount=300, least=300)
    busy.acquire(world.key("daily"), amount=1_000 - cut_off.free() - idle.free(), least=1)
    first = busy.acquire(world.key("daily"), amount=100)
    assert first.waits_for == {Recall(lease_id, 1) for lease_id in cut_off.leases}
    again = busy.acquire(world.key("daily"), amount=100, in_vain=cut_off.leases)
    assert again.waits_for == {Recall(lease_id, 1) for lease_id in [*cut_off.leases, *idle.leases]}
    idle.look(rung=["acme"])
    idle.sync()
    granted = busy.acquire(world.key("daily"), amount=100, in_vain=cut_off.leases)
    assert granted.leases[0].lease.granted >= 100


def test_who_asks_while_its_own_lease_is_recalled_is_told_to_wait(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    one, other = world.leasing(), world.leasing()
    one.acquire(world.key("daily"), amount=900, least=900, lease_id=b"1" * 16)
    other.acquire(world.key("daily"), amount=500, least=500)
    one.leases[b"1" * 16].recall_no = 0
    answer = one.acquire(world.key("daily"), amount=50, lease_id=b"1" * 16)
    assert answer.waits_for == {Recall(b"1" * 16, 1)}
    one.sync()
    assert one.acquire(world.key("daily"), amount=50, lease_id=b"1" * 16).waits_for == frozenset()


def test_a_recall_is_announced_once(memory_store: SqlStore) -> None:
    world = LeaseWorld(memory_store, units("daily", 1_000))
    idle, busy = world.leasing(), world.leasing()
    idle.acquire(world.key("daily"), amount=900)
    rung: list[str] = []
    stop = memory_store.news.listen(rung.append)
    for _ in range(3):
        busy.acquire(world.key("daily"), amount=500)
    stop()
    assert rung == ["acme"]


def test_a_call_of_a_copy_or_of_an_old_session_changes_nothing(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agent = world.leasing()
    wanted = (WantedLease(b"l" * 16, world.key("daily"), 100, 100),)
    for mark, result in (
        (replace(agent.answered, nonce=b"x" * 16), CallResult.IDENTITY_TAKEN),
        (replace(agent.answered, session_no=9), CallResult.FENCED),
        (replace(agent.answered, incarnation="other"), CallResult.FENCED),
        (replace(agent.answered, disk_id=b"?" * 16), CallResult.FENCED),
    ):
        request = AcquireRequest(mark=mark, wanted=wanted)
        answer = acquire_leases(world.desk, agent=agent.agent, request=request)
        assert (answer.result, answer.leases) == (result, ())
    assert world.accounts() == {}


def test_another_agents_lease_id_is_no_way_to_its_lease(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 10_000))
    owner, thief = world.leasing(), world.leasing()
    owner.acquire(world.key("daily"), amount=100, lease_id=b"l" * 16)
    before = world.lease_of(b"l" * 16)
    thief.acquire(world.key("daily"), amount=500, lease_id=b"l" * 16)
    assert world.lease_of(b"l" * 16) == before


def test_a_window_that_is_not_running_is_refused_with_the_terms_that_are(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, units("hourly", 1_000, unit=WindowUnit.HOUR))
    agent = world.leasing()
    old = world.key("hourly")
    world.pass_time(hours=1)
    answer = agent.acquire(old, amount=10)
    assert answer.leases[0].lease.granted == 0
    assert answer.customers[0].limits[0].span.window_id == world.key("hourly").window_id
    gone = agent.acquire(old._replace(limit_key="gone"), amount=10)
    assert gone.leases[0].lease.granted == 0


def test_an_unknown_customer_is_told_as_unknown(store: SqlStore) -> None:
    world = LeaseWorld(store)
    agent = world.leasing()
    request = AcquireRequest(mark=agent.answered, customer_ids=("nobody", "acme"))
    answer = acquire_leases(world.desk, agent=agent.agent, request=request)
    assert {each.customer_id: each.is_unknown for each in answer.customers} == {
        "nobody": True,
        "acme": False,
    }


def test_a_balance_is_granted_in_micro_units_up_to_the_money_there_is(store: SqlStore) -> None:
    world = LeaseWorld(store, Limit(key="prepaid", subject=LimitSubject.BALANCE))
    agent = world.leasing()
    key = world.key("prepaid")
    assert agent.acquire(key, amount=1_000).leases[0].lease.granted == 0
    with store.write() as unit:
        unit.limits.add_balance(
            BalanceEntry(entry_id="e1", customer_id="acme", amount=5_000_000, create_time=NOON)
        )
    assert agent.acquire(key, amount=5_000_000).leases[0].lease.granted == 5_000_000
    assert agent.acquire(key, amount=1).leases[0].lease.granted == 0


def test_slots_are_granted_returned_and_granted_again(store: SqlStore) -> None:
    slots = Limit(key="slots", subject=LimitSubject.CONCURRENCY, maximum=Decimal(2))
    world = LeaseWorld(store, slots)
    first, second = world.leasing(), world.leasing()
    key = world.key("slots")
    for _ in range(2):
        assert first.acquire(key, amount=1).leases[0].lease.granted == 1
    assert second.acquire(key, amount=1).leases[0].lease.granted == 0
    for lease in first.leases.values():
        lease.returned = 1
    first.sync()
    assert second.acquire(key, amount=1).leases[0].lease.granted == 1


def test_slots_of_an_agent_that_is_silent_come_free_after_their_time(store: SqlStore) -> None:
    slots = Limit(key="slots", subject=LimitSubject.CONCURRENCY, maximum=Decimal(1))
    world = LeaseWorld(store, slots)
    first, second = world.leasing(), world.leasing()
    key = world.key("slots")
    first.acquire(key, amount=1)
    world.pass_time(seconds=60)
    assert second.acquire(key, amount=1).leases[0].lease.granted == 0
    world.pass_time(seconds=3)
    assert second.acquire(key, amount=1).leases[0].lease.granted == 1


def test_a_restored_server_grants_nothing_until_it_has_heard_of_its_agents(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    first, second = world.leasing(), world.leasing()
    first.sync()
    second.sync()
    with store.write() as unit:
        unit.agents.renew_incarnation("another", at=world.clock.now())
    first.open()
    assert first.acquire(world.key("daily"), amount=10).leases[0].lease.granted == 0
    second.open()
    assert first.acquire(world.key("daily"), amount=10).leases[0].lease.granted >= 10


def test_after_the_quarantine_a_restored_server_grants_without_the_silent(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    first, silent = world.leasing(), world.leasing()
    silent.sync()
    with store.write() as unit:
        unit.agents.renew_incarnation("another", at=world.clock.now())
    first.open()
    world.pass_time(minutes=10)
    assert first.acquire(world.key("daily"), amount=10).leases[0].lease.granted >= 10


@pytest.mark.parametrize("limit", [units("daily", 1_000), money("cap", "0.001")])
def test_two_limits_are_two_leases(store: SqlStore, limit: Limit) -> None:
    world = LeaseWorld(store, limit, units("other", 500, unit=WindowUnit.MONTH))
    agent = world.leasing()
    agent.sync(want(limit.key, 1), want("other", 1))
    assert {each.key.limit_key for each in agent.leases.values()} == {limit.key, "other"}


@pytest.mark.postgresql
def test_two_servers_that_grant_and_count_at_once_never_pass_the_limit(
    postgresql_url: str,
) -> None:
    first, second = open_store(postgresql_url), open_store(postgresql_url)
    world = LeaseWorld(first, units("daily", 1_500))
    desks = [world.desk, replace(world.desk, store=second)]
    agents = [world.leasing() for _ in range(4)]
    key = world.key("daily")

    def play(number: int) -> None:
        agent = agents[number]
        for turn in range(12):
            # Each call may go to either server, as behind a balancer.
            agent.acquire(
                key, amount=37 + number, least=1, desk=desks[(number + turn) % len(desks)]
            )
            if agent.free() > 20:
                agent.use(f"e-{number}-{turn}", tokens=20)

    threads = [threading.Thread(target=play, args=(number,)) for number in range(len(agents))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    account = world.account("daily")
    with first.read() as unit:
        leases = unit.leases.of_windows([key])
    taken = account.settled + sum(lease.rest for lease in leases)
    assert taken <= 1_500
    assert account.settled == sum(lease.settled for lease in leases)
    assert account.unreserved == account.overrun == 0
    assert taken > 1_000, "they were granted something to begin with"
    for store in (first, second):
        store.close()
