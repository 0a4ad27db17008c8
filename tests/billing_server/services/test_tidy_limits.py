"""What limits need in the background."""

from decimal import Decimal

import pytest

from billing_server.domain.catalog.limit import WindowUnit
from billing_server.domain.limit.lease import LeaseState
from billing_server.services.lease_desk import CallResult
from billing_server.services.tidy_limits import LimitTidying
from billing_server.store.unit_of_work import SqlStore
from metering.limits import SilencePolicy
from tests.billing_server.lease_world import LeaseWorld, want
from tests.billing_server.limit_world import units
from tests.billing_server.world import context_of

SOFT = units("soft", 1_000, unconfirmed=SilencePolicy.RECLAIM, reclaim_max=Decimal(100))


def test_leases_of_silent_agents_are_freed_without_anybody_asking(store: SqlStore) -> None:
    world = LeaseWorld(store, SOFT)
    agent = world.leasing()
    agent.sync(want("soft", 10))
    (lease,) = agent.leases.values()
    tidying = LimitTidying(context_of(world))
    assert tidying.look() == 0
    world.pass_time(seconds=29)
    assert tidying.look() == 0
    world.pass_time(seconds=2)
    assert tidying.look() == 1
    assert world.lease_of(lease.lease_id).state is LeaseState.RECLAIMED
    assert tidying.look() == 0, "it looks every thirty seconds"


def test_old_rows_are_forgotten(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agent = world.leasing()
    agent.sync(want("daily", 10))
    (lease,) = agent.leases.values()
    lease.returned, lease.is_closed = 150, True
    agent.sync()
    tidying = LimitTidying(context_of(world))
    world.pass_time(days=36)
    tidying.look()
    assert world.lease_of(lease.lease_id).state is LeaseState.CLOSED
    world.pass_time(days=2)
    tidying.look()
    with store.read() as unit:
        assert unit.leases.by_id([lease.lease_id]) == {}


def test_an_ephemeral_agent_is_lost_after_an_hour(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agent = world.leasing(is_ephemeral=True)
    agent.sync(want("daily", 10))
    (lease,) = agent.leases.values()
    tidying = LimitTidying(context_of(world))
    world.pass_time(minutes=59)
    tidying.look()
    assert world.lease_of(lease.lease_id).state is LeaseState.LIVE
    world.pass_time(minutes=2)
    tidying.look()
    assert world.lease_of(lease.lease_id).state is LeaseState.WRITTEN_OFF


def test_leases_in_ended_windows_are_closed_although_their_agent_is_gone(
    memory_store: SqlStore,
) -> None:
    world = LeaseWorld(memory_store, units("daily", 1_000))
    agent = world.leasing()
    agent.sync(want("daily", 10))
    (lease,) = agent.leases.values()
    tidying = LimitTidying(context_of(world))
    world.pass_time(days=7)
    tidying.look()
    assert world.lease_of(lease.lease_id).state is not LeaseState.CLOSED
    world.pass_time(days=1)
    tidying.look()
    assert world.lease_of(lease.lease_id).state is LeaseState.CLOSED


def test_leases_that_are_held_do_not_keep_others_from_being_freed(
    memory_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing_server.services.tidy_limits.LEASES_AT_ONCE", 1)
    world = LeaseWorld(memory_store, units("hard", 1_000, unit=WindowUnit.LIFETIME), SOFT)
    agent = world.leasing()
    agent.acquire(world.key("hard"), amount=10, lease_id=b"a" * 16)
    agent.acquire(world.key("soft"), amount=10, lease_id=b"b" * 16)
    tidying = LimitTidying(context_of(world))
    for _ in range(2):
        world.pass_time(seconds=31)
        tidying.look()
    assert world.lease_of(b"a" * 16).state is LeaseState.LIVE
    assert world.lease_of(b"b" * 16).state is LeaseState.RECLAIMED


def test_what_lost_agents_want_is_forgotten(memory_store: SqlStore) -> None:
    world = LeaseWorld(memory_store, units("daily", 1_000))
    agent = world.leasing()
    agent.sync(want("daily", 10))
    tidying = LimitTidying(context_of(world))
    for days, count in ((6, 1), (2, 0)):
        world.pass_time(days=days)
        tidying.look()
        with memory_store.read() as unit:
            assert len(unit.leases.wants_of_agent(agent.ref)) == count


def test_what_lost_agents_watch_is_forgotten_and_named_again_by_those_that_come_back(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agent = world.leasing()
    agent.sync(customer_ids=("acme",))
    tidying = LimitTidying(context_of(world))
    for days, watched in ((6, {"acme"}), (2, set())):
        world.pass_time(days=days)
        tidying.look()
        with store.read() as unit:
            assert set(unit.leases.watches(agent.ref, customer_ids=("acme",))) == watched
    world.limit(units("daily", 500))
    # Its session goes on, and it would never hear of the change in it.
    assert agent.sync().result is CallResult.FENCED
    agent.terms_revision = 0
    agent.open()
    (told,) = agent.sync(customer_ids=("acme",)).customers
    assert told.limits[0].maximum == 500
    assert agent.sync(customer_ids=("acme",)).customers == ()
