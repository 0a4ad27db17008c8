"""Agents that do not come back, and what a person may do about their leases."""

import pytest

from billing_server.domain.limit.lease import LeaseState
from billing_server.services.forget_agent import forget_agent, release_lease
from billing_server.store.unit_of_work import SqlStore
from metering.errors import InvalidStateError, NotFoundError
from tests.billing_server.lease_world import LeaseWorld, want
from tests.billing_server.limit_world import units
from tests.billing_server.world import context_of


def test_what_a_forgotten_agent_holds_is_presumed_used_until_it_is_released(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    context = context_of(world)
    lost, other = world.leasing("host-1"), world.leasing("host-2")
    lost.sync(want("daily", 10))
    (lease,) = lost.leases.values()
    forgotten = forget_agent(context, name="host-1", actor="anna")
    assert forgotten.lease_count == 1
    kept = world.lease_of(lease.lease_id)
    assert (kept.state, kept.rest) == (LeaseState.WRITTEN_OFF, 150)
    assert other.acquire(world.key("daily"), amount=851).leases[0].lease.granted == 0
    release_lease(context, lease_id=lease.lease_id, actor="anna")
    assert other.acquire(world.key("daily"), amount=851).leases[0].lease.granted >= 851
    assert world.account("daily").released == 150
    with store.read() as unit:
        entries = unit.audit.page(before=None, limit=9)
    assert [(each.action, each.subject, each.actor) for each in entries] == [
        ("lease.release", lease.lease_id.hex(), "anna"),
        ("agent.forget", "host-1", "anna"),
    ]
    assert entries[0].detail["amount"] == 150


def test_an_agent_that_comes_back_gives_back_what_it_has_not_used(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agent = world.leasing("host-1")
    agent.sync(want("daily", 10))
    (lease,) = agent.leases.values()
    lease.consumed = 40
    forget_agent(context_of(world), name="host-1", actor="anna")
    agent.open()
    agent.sync(want("daily", 10))
    kept = world.lease_of(lease.lease_id)
    # Its event is still on its way: 40 stay presumed until it is counted.
    assert (kept.returned, kept.rest) == (110, 40)
    assert agent.free() > 0, "it goes on with another lease"


def test_only_what_was_written_off_can_be_released(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    context = context_of(world)
    agent = world.leasing("host-1")
    agent.sync(want("daily", 10))
    (lease,) = agent.leases.values()
    with pytest.raises(InvalidStateError, match="only what a lost agent"):
        release_lease(context, lease_id=lease.lease_id, actor="anna")
    with pytest.raises(NotFoundError):
        release_lease(context, lease_id=b"?" * 16, actor="anna")
    with pytest.raises(NotFoundError, match="agents list"):
        forget_agent(context, name="nobody", actor="anna")
