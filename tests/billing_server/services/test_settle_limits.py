"""Settling limits in the transaction that counts, on both databases."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from billing_server.domain.catalog.limit import Limit, LimitSubject, WindowUnit
from billing_server.domain.limit.lease import WindowKey
from billing_server.domain.limit.thresholds import ThresholdDirection
from billing_server.domain.ports.limits import TermsWatch
from billing_server.store.unit_of_work import SqlStore
from metering.api.v1 import usage_pb2
from tests.billing_server.ingest_world import NOON, START, event
from tests.billing_server.limit_world import LimitWorld, debited, money, rolling, units

WATCH = TermsWatch(
    agent_ref=1,
    customer_id="acme",
    terms_revision=1,
    terms_digest="",
    catalog_revision=1,
    customer_revision=1,
    valid_until=None,
)


def test_usage_without_a_reservation_on_a_limited_meter_counts_as_unreserved(
    store: SqlStore,
) -> None:
    world = LimitWorld(store, units("daily", 1_000))
    agent = world.agent()
    agent.push(event("e1"), event("e2", quantities={"gpu_seconds": "1"}))
    account = world.account("daily")
    assert (account.settled, account.unreserved, account.overrun) == (100, 100, 0)
    assert account.key.window_id.startswith("2026-03-10T00:00:00Z/day/")


def test_a_debit_moves_from_the_lease_to_what_is_settled(store: SqlStore) -> None:
    world = LimitWorld(store, units("daily", 1_000))
    agent = world.agent()
    agent.push(event("e0"))
    lease = world.lease(1, key=world.account("daily").key, granted=500)
    agent.push(debited("e1", tokens=120, debits=[(lease.lease_id, 120)]))
    kept = world.lease_of(lease.lease_id)
    assert (kept.settled, kept.rest) == (120, 380)
    account = world.account("daily")
    assert (account.settled, account.unreserved, account.overrun) == (220, 100, 0)


def test_a_repeated_push_settles_nothing_a_second_time(store: SqlStore) -> None:
    world = LimitWorld(store, units("daily", 1_000), money("cap", "50"))
    agent = world.agent()
    agent.push(event("e0"))
    lease = world.lease(1, key=world.account("daily").key, granted=500)
    again = debited("e1", tokens=120, debits=[(lease.lease_id, 120)])
    agent.push(again)
    first = world.accounts()
    agent.push(again, first_seq=2)
    world.agent().push(again)
    assert world.accounts() == first
    assert world.lease_of(lease.lease_id).settled == 120


def test_use_beyond_what_was_reserved_is_overrun_and_still_settled(store: SqlStore) -> None:
    world = LimitWorld(store, units("daily", 1_000))
    agent = world.agent()
    agent.push(event("e0", quantities={"gpu_seconds": "1"}))
    lease = world.lease(1, key=world.account("daily").key, granted=100)
    agent.push(debited("e1", tokens=130, debits=[(lease.lease_id, 100)]))
    account = world.account("daily")
    assert (account.settled, account.overrun, account.unreserved) == (130, 30, 0)
    # Usage without a reservation that a lease bore in part: the rest is unreserved.
    more = world.lease(2, key=account.key, granted=50)
    agent.push(debited("e2", tokens=70, debits=[(more.lease_id, 50)], is_settlement=False))
    account = world.account("daily")
    assert (account.settled, account.overrun, account.unreserved) == (200, 30, 20)


def test_usage_belongs_to_the_window_of_its_lease(store: SqlStore) -> None:
    world = LimitWorld(store, units("daily", 1_000))
    agent = world.agent()
    yesterday = NOON - timedelta(days=1)
    agent.push(event("e0", at=yesterday))
    assert world.accounts() == {}, "an ended window that nobody was granted from has no account"
    agent.push(event("e1"))
    today = world.account("daily").key
    lease = world.lease(1, key=today, granted=100)
    agent.push(debited("e2", tokens=10, debits=[(lease.lease_id, 10)], at=yesterday))
    assert world.account("daily").settled == 110


@pytest.mark.parametrize(
    "limit", [units("daily", 1_000), money("daily", "50", unit=WindowUnit.DAY)]
)
def test_each_window_counts_what_its_own_leases_bore_of_a_call_that_outlived_one(
    store: SqlStore, limit: Limit
) -> None:
    world = LimitWorld(store, limit)
    agent = world.agent()
    # A thousand tokens are included in the price; the next cost 0.01 each.
    agent.push(event("e0", quantities={"input_tokens": "1000"}))
    before = world.account("daily")
    world.clock.advance(timedelta(days=1))
    agent.push(event("e1", quantities={"gpu_seconds": "0"}, at=NOON + timedelta(days=1)))
    today = world.account("daily").key
    each = 1 if limit.subject is LimitSubject.METER else 10_000
    first = world.lease(1, key=before.key, granted=14 * each)
    second = world.lease(2, key=today, granted=20 * each)
    # It reserved 14 yesterday and used 18: today's lease bore the overrun.
    debits = [(first.lease_id, 14 * each), (second.lease_id, 4 * each)]
    agent.push(debited("e2", tokens=18, debits=debits, at=NOON + timedelta(days=1)))
    with store.read() as unit:
        settled = {each.key: each.settled for each in unit.limits.accounts("acme")}
    assert settled[before.key] - before.settled == 14 * each
    assert settled[today] == 4 * each
    assert world.lease_of(second.lease_id).settled == settled[today]


def test_use_that_is_settled_in_another_window_is_not_used_before_in_its_own(
    memory_store: SqlStore,
) -> None:
    world = LimitWorld(memory_store, units("daily", 1_000))
    agent = world.agent()
    yesterday = WindowKey("acme", "daily", "2026-03-09T00:00:00Z/day")
    lease = world.lease(1, key=yesterday, granted=100)
    # Reserved before midnight and settled after it, before anything else came of today.
    agent.push(debited("e1", tokens=10, debits=[(lease.lease_id, 10)]))
    agent.push(event("e2", quantities={"input_tokens": "5"}))
    assert (world.account("daily").settled, world.lease_of(lease.lease_id).settled) == (5, 10)


def test_r92_an_account_opens_with_what_was_used_before_the_limit_was_set(store: SqlStore) -> None:
    world = LimitWorld(store)
    agent = world.agent()
    agent.push(event("e1"), event("e2", dimensions={"model": "large"}))
    agent.push(event("e3", at=NOON - timedelta(days=1)))
    world.limit(
        units("daily", 1_000),
        units("large", 1_000, where={"model": "large"}),
        units("ever", 9_000, unit=WindowUnit.LIFETIME),
        rolling("week", 9_000, hours=168),
    )
    agent.push(event("e4", dimensions={"model": "large"}))
    settled = {key: account.settled for key, account in world.accounts().items()}
    assert settled == {"daily": 300, "large": 200, "ever": 400, "week": 400}


def test_money_settles_the_change_of_the_rated_amount_and_not_rounded_events(
    store: SqlStore,
) -> None:
    # 1,000 tokens are included, then 0.01 each.
    world = LimitWorld(store, money("cap", "50"), money("daily-cap", "5", unit=WindowUnit.DAY))
    agent = world.agent()
    agent.push(event("e1", quantities={"input_tokens": "1001"}))
    assert world.account("cap").settled == 10_000
    for number in range(3):
        agent.push(event(f"f{number}", quantities={"gpu_seconds": "0.001"}))
    # 3 × 0.000001: each rounds to nothing in cents, together they count.
    assert world.account("cap").settled == 10_003
    assert world.account("daily-cap").settled == 10_003
    assert world.account("cap").unreserved == 10_003


def test_money_rated_beyond_its_estimate_is_the_published_error(store: SqlStore) -> None:
    world = LimitWorld(store, money("cap", "50"))
    agent = world.agent()
    agent.push(event("e0", quantities={"input_tokens": "1000"}))
    lease = world.lease(1, key=world.account("cap").key, granted=5_000_000)
    agent.push(debited("e1", tokens=100, debits=[(lease.lease_id, 900_000)]))
    account = world.account("cap")
    assert (account.settled, account.estimate_error, account.overrun) == (1_000_000, 100_000, 0)
    agent.push(debited("e2", tokens=100, debits=[(lease.lease_id, 1_200_000)]))
    account = world.account("cap")
    assert (account.settled, account.estimate_error) == (2_000_000, 100_000)
    assert world.lease_of(lease.lease_id).settled == 2_100_000


def test_a_spend_cap_set_within_a_period_starts_at_what_the_period_came_to(
    store: SqlStore,
) -> None:
    world = LimitWorld(store)
    agent = world.agent()
    agent.push(event("e1", quantities={"input_tokens": "1100"}))
    world.limit(money("cap", "50"))
    agent.push(event("e2"))
    assert world.account("cap").settled == 2_000_000


def test_a_balance_is_used_from_when_it_is_a_limit(store: SqlStore) -> None:
    world = LimitWorld(store)
    agent = world.agent()
    agent.push(event("e1", quantities={"input_tokens": "1100"}))
    world.limit(Limit(key="prepaid", subject=LimitSubject.BALANCE))
    agent.push(event("e2"))
    assert world.account("prepaid").settled == 1_000_000


def test_a_lease_that_a_restored_server_does_not_know_gets_a_row_and_no_rest(
    store: SqlStore,
) -> None:
    world = LimitWorld(store, units("daily", 1_000))
    agent = world.agent()
    agent.push(debited("e1", tokens=70, debits=[(b"u" * 16, 70)]))
    kept = world.lease_of(b"u" * 16)
    assert kept.key == WindowKey("acme", "", "")
    assert (kept.granted, kept.settled, kept.rest) == (0, 70, 0)
    assert world.account("daily").settled == 70


def test_rolling_use_is_booked_where_its_lease_could_be_spent_last(store: SqlStore) -> None:
    world = LimitWorld(store, rolling("five", 1_000, hours=5))
    agent = world.agent()
    agent.push(event("e0"))
    key = world.account("five").key
    old = world.lease(1, key=key, granted=500, expire_time=NOON - timedelta(hours=1))
    agent.push(debited("e1", tokens=300, debits=[(old.lease_id, 300)]))
    with store.read() as unit:
        assert unit.limits.rolling_total(key, since=NOON - timedelta(minutes=10)) == 100
        assert unit.limits.rolling_total(key, since=NOON - timedelta(hours=2)) == 400


def test_r94_a_threshold_is_told_once_when_it_is_passed_and_once_when_it_falls(
    store: SqlStore,
) -> None:
    world = LimitWorld(store, units("daily", 1_000, thresholds=(Decimal("0.5"), Decimal(1))))
    agent = world.agent()
    for number in range(12):
        agent.push(event(f"e{number}"))
    world.limit(units("daily", 10_000, thresholds=(Decimal("0.5"), Decimal(1))))
    agent.push(event("later"))
    with store.read() as unit:
        told = unit.limits.threshold_events(customer_id="acme", after=0, limit=99)
    assert [(each.share, each.direction, each.used, each.maximum) for each in told] == [
        (Decimal("0.5"), ThresholdDirection.RISING, 500, 1_000),
        (Decimal(1), ThresholdDirection.RISING, 1_000, 1_000),
        (Decimal(1), ThresholdDirection.FALLING, 1_300, 10_000),
        (Decimal("0.5"), ThresholdDirection.FALLING, 1_300, 10_000),
    ]


def test_a_reservation_settled_at_another_agent_is_dropped_by_those_that_may_hold_it(
    store: SqlStore,
) -> None:
    world = LimitWorld(store, units("daily", 1_000))
    agent, holder = world.agent(), world.agent()
    with store.write() as unit:
        for each in (agent, holder):
            unit.leases.watch([replace(WATCH, agent_ref=each.agent.ref)])
    settled = debited("e1", tokens=5, debits=[])
    settled.settlement.kind = usage_pb2.SETTLEMENT_KIND_ELSEWHERE
    agent.push(settled)
    with store.read() as unit:
        assert unit.leases.settled_elsewhere(agent.agent.ref, told_in=0, limit=9) == ()
        assert unit.leases.settled_elsewhere(holder.agent.ref, told_in=0, limit=9) == (
            ("acme", "r-e1"),
        )


def test_a_rate_and_slots_are_not_settled(store: SqlStore) -> None:
    world = LimitWorld(
        store,
        units("rate", 600, unit=WindowUnit.MINUTE),
        Limit(key="slots", subject=LimitSubject.CONCURRENCY, maximum=Decimal(8)),
    )
    world.agent().push(event("e1"))
    assert world.accounts() == {}


@pytest.mark.parametrize("customers", [["bela"], ["acme", "bela"]])
def test_customers_without_limits_are_counted_beside_those_with(
    store: SqlStore, customers: list[str]
) -> None:
    world = LimitWorld(store, units("daily", 1_000))
    world.add_customer("bela")
    agent = world.agent()
    agent.push(*(event(f"e-{name}", customer=name) for name in customers))
    assert world.totals("bela") == {("input_tokens", ""): 100}
    assert world.accounts("bela") == {}
    assert ("daily" in world.accounts()) == ("acme" in customers)


def test_limits_of_a_plan_hold_from_the_start_of_its_subscription(store: SqlStore) -> None:
    world = LimitWorld(store)
    with store.write() as unit:
        plan = unit.catalog.latest_plan("pro")
        assert plan is not None
        unit.catalog.add_plan_version(
            replace(plan, version=2, limits=(units("daily", 500),)), create_time=START
        )
        unit.catalog.advance_revision()
    world.agent().push(event("e1"))
    assert world.account("daily").settled == 100
