"""What limits need in the background."""

from decimal import Decimal

from billing_server.domain.limit.lease import LeaseState
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
