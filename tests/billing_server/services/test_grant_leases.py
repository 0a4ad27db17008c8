"""Granting within what is left, and recalling what a lowered limit has out."""

from datetime import timedelta
from decimal import Decimal

from billing_server.domain.catalog.limit import WindowUnit
from billing_server.domain.limit.shares import FreeBucket, RateShare
from billing_server.services.grant_leases import Granter, recall_excess
from billing_server.services.lease_windows import OpenWindow, current_windows, open_windows
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.ingest_world import NOON
from tests.billing_server.lease_world import LeaseWorld, want
from tests.billing_server.limit_world import units


def opened(world: LeaseWorld, key: str) -> OpenWindow:
    with world.store.write() as unit:
        windows = current_windows(
            unit, book=world.desk.book, pairs=[("acme", key)], now=world.clock.now()
        )
        return next(iter(open_windows(unit, windows=windows, now=world.clock.now()).values()))


def granter(agent_ref: int) -> Granter:
    return Granter(agent_ref=agent_ref, now=NOON, random_bytes=lambda size: b"n" * size)


def test_an_agent_without_demand_is_granted_nothing(memory_store: SqlStore) -> None:
    window = opened(LeaseWorld(memory_store, units("daily", 1_000)), "daily")
    granter(1).grant_standing(window)
    assert window.changed == set()


def test_a_recalled_lease_is_granted_no_more(memory_store: SqlStore) -> None:
    world = LeaseWorld(memory_store, units("daily", 1_000))
    agent = world.leasing()
    agent.sync(want("daily", 10))
    window = opened(world, "daily")
    (lease,) = window.live
    window.recall([lease])
    recalled = window.leases[lease.lease_id]
    assert granter(agent.ref).acquire(window, lease=recalled, target=999, least=1) == recalled
    assert recalled.told_in is None


def test_only_what_is_out_beyond_a_lowered_limit_is_recalled(memory_store: SqlStore) -> None:
    world = LeaseWorld(memory_store, units("daily", 1_000))
    for _ in range(2):
        world.leasing().acquire(world.key("daily"), amount=300)
    world.limit(units("daily", 600))
    window = opened(world, "daily")
    recall_excess(window, now=NOON)
    assert 0 < len(window.changed) <= 2
    world.limit(units("daily", 1_000))
    assert_nothing_is_recalled(opened(world, "daily"))


def assert_nothing_is_recalled(window: OpenWindow) -> None:
    recall_excess(window, now=NOON)
    assert window.changed == set()


def test_shares_of_a_lowered_rate_are_all_recalled(memory_store: SqlStore) -> None:
    def rate(most: int) -> None:
        world.limit(units("rate", most, unit=WindowUnit.MINUTE, burst=Decimal(most)))

    world = LeaseWorld(memory_store)
    rate(600)
    agent = world.leasing()
    agent.sync(want("rate", 5))
    rate(60)
    window = opened(world, "rate")
    recall_excess(window, now=NOON)
    assert len(window.changed) == 1


def test_a_share_that_follows_another_starts_with_what_nobody_held(store: SqlStore) -> None:
    world = LeaseWorld(store, units("rate", 600, unit=WindowUnit.MINUTE, burst=Decimal(100)))
    first, second = world.leasing(), world.leasing()
    first.sync(want("rate", 5))
    second.sync(want("rate", 5))
    leases = sorted(opened(world, "rate").live, key=lambda lease: lease.agent_ref)
    assert [(lease.burst, lease.granted) for lease in leases] == [(75, 75), (25, 25)]
    assert leases[0].expire_time == NOON + timedelta(seconds=62, milliseconds=60)


def test_an_agent_that_was_quiet_for_a_while_starts_with_a_full_bucket(
    memory_store: SqlStore,
) -> None:
    world = LeaseWorld(memory_store, units("rate", 600, unit=WindowUnit.MINUTE, burst=Decimal(100)))
    agent = world.leasing()
    agent.sync(want("rate", 5))
    world.pass_time(seconds=63)
    agent.sync()
    # Its share is over and was used up; 150 a minute have filled the free quarter meanwhile.
    window = opened(world, "rate")
    assert window.account.free_bucket == FreeBucket(25, RateShare(600, 100), world.clock.now())
    world.pass_time(seconds=2)
    agent.leases.clear()
    agent.sync(want("rate", 5))
    (lease,) = opened(world, "rate").live
    assert (lease.burst, lease.granted) == (75, 25 + 20)
    world.pass_time(minutes=5)
    agent.sync()
    agent.leases.clear()
    world.pass_time(seconds=6)
    agent.sync(want("rate", 5))
    (lease,) = opened(world, "rate").live
    assert (lease.burst, lease.granted) == (75, 75)
