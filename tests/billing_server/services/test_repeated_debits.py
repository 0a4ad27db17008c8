"""Debits of events that come once more, on both databases."""

from datetime import timedelta

from billing_server.domain.limit.lease import Lease
from billing_server.services.ingest_tally import Tally
from billing_server.store.unit_of_work import SqlStore
from metering.api.v1 import usage_pb2
from tests.billing_server.ingest_world import NOON, AgentAtWork, event
from tests.billing_server.limit_world import LimitWorld, debited, units

LATER = NOON + timedelta(seconds=1)


def _world(store: SqlStore) -> LimitWorld:
    world = LimitWorld(store, units("daily", 1_000))
    # Opens the account with 100 used.
    world.agent("opener").push(event("e0"))
    return world


def _lease(world: LimitWorld, agent: AgentAtWork, *, number: int = 1) -> Lease:
    key = world.account("daily").key
    return world.lease(number, key=key, granted=500, agent_ref=agent.agent.ref)


def _use(lease: Lease, *, amount: int = 50) -> usage_pb2.UsageEvent:
    debits = [(lease.lease_id, amount)]
    return debited("e1", tokens=amount, debits=debits, is_settlement=False)


def test_a_retry_that_was_debited_once_more_gives_its_debit_back_once(store: SqlStore) -> None:
    world = _world(store)
    agent = world.agent()
    lease = _lease(world, agent)
    agent.push(_use(lease))
    assert agent.push(_use(lease), received=LATER).tally == Tally(duplicates=1)
    # Consumed twice at the agent, used once: 500 - 2 · 50 are left there, 150 are used.
    assert world.lease_of(lease.lease_id).rest == 400
    assert (world.account("daily").settled, world.account("daily").unreserved) == (150, 100)
    # Pushed again, at positions that are known or, after a restore, at others.
    agent.push(_use(lease), first_seq=2, received=LATER)
    agent.push(_use(lease), received=LATER)
    agent.push(_use(lease))
    assert world.lease_of(lease.lease_id).rest == 400


def test_each_retry_and_one_with_other_content_gives_its_own_debit_back(store: SqlStore) -> None:
    world = _world(store)
    agent = world.agent()
    lease = _lease(world, agent)
    agent.push(_use(lease))
    tally = agent.push(_use(lease), event("e2"), received=LATER).tally
    assert tally == Tally(counted=1, duplicates=1)
    other = agent.push(_use(lease, amount=70), received=LATER + timedelta(seconds=1))
    assert other.tally == Tally(conflicts=1)
    # 500 - 50 - 50 - 70.
    assert world.lease_of(lease.lease_id).rest == 330
    assert world.account("daily").settled == 250


def test_retries_that_an_agent_received_in_one_row_are_told_apart(memory_store: SqlStore) -> None:
    world = _world(memory_store)
    agent = world.agent()
    lease = _lease(world, agent)
    row = [_use(lease), _use(lease), _use(lease, amount=70), _use(lease)]
    assert agent.push(*row).tally == Tally(counted=1, duplicates=2, conflicts=1)
    # 500 - 3 · 50 - 70.
    assert world.lease_of(lease.lease_id).rest == 280
    agent.push(*row)
    agent.push(*row, first_seq=1)
    assert world.lease_of(lease.lease_id).rest == 280
    assert world.account("daily").settled == 150


def test_two_agents_that_settle_one_reservation_leave_nothing_escrowed(
    memory_store: SqlStore,
) -> None:
    world = _world(memory_store)
    holder, other = world.agent(), world.agent()
    of_holder, of_other = _lease(world, holder), _lease(world, other, number=2)
    other.push(_use(of_other))
    holder.push(_use(of_holder))
    assert world.lease_of(of_other.lease_id).settled == 50
    assert world.lease_of(of_holder.lease_id).settled == 50
    assert world.account("daily").settled == 150


def test_a_copy_of_a_disk_takes_back_nothing_of_the_leases_of_the_first(
    memory_store: SqlStore,
) -> None:
    world = _world(memory_store)
    agent, copy = world.agent(), world.agent()
    lease = _lease(world, agent)
    agent.push(_use(lease))
    copy.push(_use(lease), received=LATER)
    assert world.lease_of(lease.lease_id).settled == 50
