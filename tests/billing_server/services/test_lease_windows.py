"""Windows held for a round: who wants some, and what silence has freed."""

from decimal import Decimal

from billing_server.domain.catalog.limit import Limit, LimitSubject, WindowUnit
from billing_server.domain.limit.lease import LeaseState
from billing_server.services.lease_windows import (
    OpenWindow,
    current_windows,
    has_time_to_live,
    open_windows,
    write_windows,
)
from billing_server.store.unit_of_work import SqlStore
from metering.limits import SilencePolicy
from tests.billing_server.lease_world import LeaseWorld, want
from tests.billing_server.limit_world import rolling, units

RECLAIMED = units("soft", 1_000, unconfirmed=SilencePolicy.RECLAIM, reclaim_max=Decimal(100))


def opened(world: LeaseWorld, key: str) -> OpenWindow:
    """Holds the window of a limit that runs now, and writes what that has changed."""
    now = world.clock.now()
    with world.store.write() as unit:
        windows = current_windows(unit, book=world.desk.book, pairs=[("acme", key)], now=now)
        (window,) = open_windows(unit, windows=windows, now=now).values()
        write_windows(unit, windows=[window])
    return window


def test_only_agents_that_are_there_are_reckoned_with(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agent, silent = world.leasing(), world.leasing()
    for each in (agent, silent):
        each.sync(want("daily", 10))
    assert {each.agent_ref for each in opened(world, "daily").demanders} == {agent.ref, silent.ref}
    world.pass_time(seconds=29)
    agent.sync(want("daily", 10))
    world.pass_time(seconds=2)
    (demander,) = opened(world, "daily").demanders
    assert (demander.agent_ref, demander.free) == (agent.ref, agent.free())


def test_a_held_limit_keeps_the_leases_of_a_silent_agent_until_it_is_lost(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agent = world.leasing()
    agent.sync(want("daily", 10))
    left = opened(world, "daily").left
    world.pass_time(hours=5)
    assert opened(world, "daily").left == left


def test_a_reclaiming_limit_frees_them_within_its_bound(store: SqlStore) -> None:
    world = LeaseWorld(store, RECLAIMED)
    agent = world.leasing()
    agent.sync(want("soft", 10))
    assert agent.free() == 150
    assert opened(world, "soft").left == 850
    world.pass_time(seconds=31)
    window = opened(world, "soft")
    # 150 are unknown, of which 100 may be given to others.
    assert (window.escrow.unknown, window.left) == (150, 950)
    (lease,) = window.leases.values()
    assert (lease.state, lease.is_recalled) == (LeaseState.RECLAIMED, True)
    # Back again, it gives back what it has not used.
    agent.sync()
    agent.sync()
    assert opened(world, "soft").left == 1_000


def test_an_agent_lost_for_a_week_is_presumed_to_have_used_what_it_held(store: SqlStore) -> None:
    world = LeaseWorld(store, units("ever", 1_000, unit=WindowUnit.LIFETIME))
    agent = world.leasing()
    agent.sync(want("ever", 10))
    world.pass_time(days=7)
    window = opened(world, "ever")
    assert (window.escrow.presumed, window.left) == (150, 850)


def test_leases_of_rates_rolling_windows_slots_and_reclaiming_limits_end_by_time(
    store: SqlStore,
) -> None:
    slots = Limit(key="slots", subject=LimitSubject.CONCURRENCY, maximum=Decimal(2))
    world = LeaseWorld(store, units("daily", 9), RECLAIMED, slots, rolling("five", 9, hours=5))
    timed = {key: has_time_to_live(opened(world, key).limit) for key in ("daily", "soft", "slots")}
    assert timed == {"daily": False, "soft": True, "slots": True}
    assert has_time_to_live(opened(world, "five").limit)
