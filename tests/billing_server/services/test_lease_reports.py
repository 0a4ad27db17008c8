"""What agents tell of leases: counters that only rise, restored servers, lost disks."""

from copy import copy
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import text

from billing_server.domain.catalog.limit import Limit, LimitSubject, WindowUnit
from billing_server.domain.limit.lease import LeaseReport, WindowKey
from billing_server.domain.limit.shares import SHARE_TTL
from billing_server.services.lease_reports import ReportedLease, apply_reports
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.ingest_world import NOON
from tests.billing_server.lease_world import LeaseWorld, want
from tests.billing_server.limit_world import debited, units


def test_counters_only_rise_whatever_the_order(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agent = world.leasing()
    agent.sync(want("daily", 10))
    (lease,) = agent.leases.values()
    lease.returned = 100
    agent.sync(want("daily", 10))
    lease.returned = 50
    agent.sync(want("daily", 10))
    assert world.lease_of(lease.lease_id).returned == 100


def test_a_lease_that_a_restored_server_forgot_is_adopted_with_its_rest(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agent = world.leasing()
    agent.acquire(world.key("daily"), amount=500, lease_id=b"l" * 16)
    with store.write() as unit:
        unit.connection.execute(text("DELETE FROM lease"))
    agent.push(debited("e1", tokens=40, debits=[(b"l" * 16, 40)]))
    agent.leases[b"l" * 16].consumed = 40
    assert world.lease_of(b"l" * 16).key == WindowKey("acme", "", "")
    agent.open()
    kept = world.lease_of(b"l" * 16)
    assert kept.key == world.key("daily")
    assert (kept.settled, kept.rest) == (40, kept.granted - 40)


def test_a_lease_of_a_further_disk_that_an_event_named_first_is_adopted_too(
    store: SqlStore,
) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    copied = copy(world.leasing())
    copied.leases, copied.previous_disk_id = {}, copied.disk_id
    copied.disk_id, copied.sync_no = b"x" * 16, 0
    copied.open()
    copied.sync(want("daily", 10))
    (lease,) = copied.leases.values()
    with store.write() as unit:
        unit.connection.execute(text("DELETE FROM lease"))
    copied.use("e1", tokens=40)
    copied.open()
    kept = world.lease_of(lease.lease_id)
    assert (kept.settled, kept.rest) == (40, lease.granted - 40)


def test_shares_and_slots_that_a_restored_server_forgot_are_over_in_time(store: SqlStore) -> None:
    rate = replace(units("rpm", 600, unit=WindowUnit.MINUTE), burst=Decimal(100))
    slots = Limit(key="slots", subject=LimitSubject.CONCURRENCY, maximum=Decimal(5))
    world = LeaseWorld(store, rate, slots, units("daily", 1_000))
    agent = world.leasing()
    agent.sync(want("rpm", 5), want("slots", 1, largest_call=1), want("daily", 5))
    with store.write() as unit:
        unit.connection.execute(text("DELETE FROM lease"))
    agent.open()
    told = {each.key.limit_key: each.told.remaining for each in agent.leases.values()}
    assert (told["rpm"], told["slots"]) == (SHARE_TTL, SHARE_TTL)
    assert told["daily"] == timedelta(seconds=43_170)
    # It is never heard of again.
    world.pass_time(minutes=2)
    other = world.leasing("other")
    other.sync(want("rpm", 5), want("slots", 1, largest_call=1))
    (share, slot) = sorted(other.leases.values(), key=lambda each: each.key.limit_key)
    assert (share.rate, share.burst, slot.granted) == (450, 75, 2)


def test_a_share_whose_agent_does_not_tell_its_size_is_over_at_once(store: SqlStore) -> None:
    world = LeaseWorld(
        store, replace(units("rpm", 600, unit=WindowUnit.MINUTE), burst=Decimal(100))
    )
    agent = world.leasing()
    agent.sync(want("rpm", 5))
    (share,) = agent.leases.values()
    share.rate = share.burst = 0
    with store.write() as unit:
        unit.connection.execute(text("DELETE FROM lease"))
    agent.open()
    agent.sync(want("rpm", 5))
    assert share.is_closed
    assert [each.rate for each in agent.leases.values() if not each.is_closed] == [450]


def test_a_closed_lease_that_was_forgotten_is_not_adopted_as_unspent(
    memory_store: SqlStore,
) -> None:
    world = LeaseWorld(memory_store, units("ever", 1_000, unit=WindowUnit.LIFETIME))
    agent = world.leasing()
    agent.acquire(world.key("ever"), amount=500, lease_id=b"l" * 16)
    lease = agent.leases[b"l" * 16]
    agent.use("e1", tokens=lease.granted)
    lease.is_closed = True
    with memory_store.write() as unit:
        unit.connection.execute(text("DELETE FROM lease"))
    agent.open()
    with memory_store.read() as unit:
        assert unit.leases.of_agent(agent.ref) == ()
    # Behind a restore it may be owed: its events come again.
    with memory_store.write() as unit:
        unit.agents.renew_incarnation("after", at=world.clock.now())
    agent.open()
    assert world.lease_of(b"l" * 16).rest == lease.granted


def test_a_disk_that_is_gone_keeps_its_leases_for_itself(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agent = world.leasing()
    agent.sync(want("daily", 10))
    (old,) = agent.leases.values()
    agent.come_back_without_disk()
    assert agent.leases == {}, "nobody may spend what the lost disk may have spent"
    with store.read() as unit:
        (kept,) = unit.leases.of_windows([world.key("daily")])
    assert kept.lease_id == old.lease_id
    assert kept.agent_ref != agent.ref
    agent.sync(want("daily", 10))
    assert agent.free() > 0


def test_a_lease_of_another_disk_is_left_alone(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agent = world.leasing()
    agent.sync(want("daily", 10))
    (lease,) = agent.leases.values()
    before = world.lease_of(lease.lease_id)
    report = LeaseReport(granted=9_999, returned=150, consumed=0, held=0)
    with store.write() as unit:
        applied = apply_reports(
            unit,
            agent_ref=before.agent_ref + 1,
            reports=[ReportedLease(lease.lease_id, lease.key, report)],
            now=NOON,
        )
    assert (applied.pairs, applied.freed) == (frozenset(), frozenset())
    assert world.lease_of(lease.lease_id) == before
