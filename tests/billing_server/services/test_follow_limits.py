"""Limits follow corrections of usage, in the transaction that makes them. On both databases."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from billing_server.domain.catalog.limit import WindowUnit
from billing_server.domain.catalog.model import UsagePrice
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.services.correct_usage import AdjustmentRequest, adjust_usage, void_usage
from billing_server.services.follow_limits import limits_following
from billing_server.services.rebuild_running_charges import rebuild_running_charges
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.ingest_world import NOON, event
from tests.billing_server.limit_world import LimitWorld, debited, money, rolling, units
from tests.billing_server.world import context_of


def adjustment(quantity: str) -> AdjustmentRequest:
    return AdjustmentRequest(
        customer_id="acme", meter_key="input_tokens", quantity=quantity, reason="by hand"
    )


def test_a_voided_event_no_longer_counts_against_its_limits(store: SqlStore) -> None:
    world = LimitWorld(store, units("daily", 200), money("cap", "50"))
    heard: list[str] = []
    world.agent().push(event("e1", quantities={"input_tokens": "1100"}), event("e2"))
    assert world.account("daily").settled == 1_200
    assert world.account("cap").settled == 2_000_000
    store.news.listen(heard.append)
    void_usage(context_of(world), event_id="e1", reason="load test")
    assert world.account("daily").settled == 100
    assert world.account("cap").settled == 0
    with store.read() as unit:
        told = unit.limits.threshold_events(customer_id="acme", after=0, limit=99)
    assert [str(each.direction) for each in told] == ["rising", "rising", "falling", "falling"]


def test_a_voided_event_that_a_lease_of_an_earlier_window_bore_gives_the_running_one_nothing(
    store: SqlStore,
) -> None:
    world = LimitWorld(store, units("daily", 1_000), units("monthly", 9_000, unit=WindowUnit.MONTH))
    agent = world.agent()
    agent.push(event("e1"))
    yesterday = world.account("daily").key
    world.lease(1, key=yesterday, granted=100)
    world.clock.advance(timedelta(days=1))
    today = NOON + timedelta(days=1)
    agent.push(event("e2", at=today))
    # Reserved before midnight and settled after it: it counts in the window of its lease.
    agent.push(debited("e3", tokens=30, debits=[(b"\1" * 16, 30)], at=today))
    assert world.account("daily").settled == 100
    void_usage(context_of(world), event_id="e3")
    assert world.account("daily").settled == 100
    assert world.account("monthly").settled == 200


def test_an_adjustment_counts_against_the_window_that_runs(store: SqlStore) -> None:
    world = LimitWorld(store, units("daily", 1_000))
    context = context_of(world)
    world.agent().push(event("e1"))
    adjust_usage(context, request=adjustment("40"))
    assert world.account("daily").settled == 140


def test_a_voided_event_frees_its_rolling_window_from_what_ages_first(store: SqlStore) -> None:
    world = LimitWorld(store, rolling("five", 1_000, hours=5))
    agent = world.agent()
    agent.push(event("e1", quantities={"input_tokens": "40"}))
    world.clock.advance(timedelta(hours=1))
    agent.push(event("e2", at=NOON + timedelta(hours=1)))
    key = world.account("five").key
    void_usage(context_of(world), event_id="e2")
    with store.read() as unit:
        assert unit.limits.rolling_total(key, since=NOON - timedelta(minutes=10)) == 40
        # 100 are taken: 40 of the first bucket and 60 of the second. Nothing is freed too early.
        assert unit.limits.rolling_total(key, since=NOON + timedelta(minutes=10)) == 40
    assert world.account("five").settled == 40
    adjust_usage(context_of(world), request=adjustment("25"))
    with store.read() as unit:
        assert unit.limits.rolling_total(key, since=NOON + timedelta(minutes=10)) == 65


def test_usage_that_left_a_rolling_window_frees_nothing_in_it(memory_store: SqlStore) -> None:
    world = LimitWorld(memory_store, rolling("five", 1_000, hours=5))
    agent = world.agent()
    agent.push(event("e1"))
    world.clock.advance(timedelta(hours=7))
    agent.push(event("e2", at=NOON + timedelta(hours=7)))
    void_usage(context_of(world), event_id="e1")
    with memory_store.read() as unit:
        since = NOON - timedelta(minutes=10)
        assert unit.limits.rolling_total(world.account("five").key, since=since) == 200


def test_the_spend_cap_of_a_day_follows_only_what_was_used_on_it(memory_store: SqlStore) -> None:
    world = LimitWorld(memory_store, money("a-day", "50", unit=WindowUnit.DAY), money("cap", "50"))
    agent = world.agent()
    agent.push(event("e0", at=NOON - timedelta(days=1), quantities={"input_tokens": "1200"}))
    agent.push(event("e1"))
    # 0.01 each beyond 1,000; what was used yesterday came in today, before the day's cap opened.
    before = world.account("a-day").settled
    void_usage(context_of(world), event_id="e0")
    assert world.account("a-day").settled == before
    assert world.account("cap").settled == 0
    # With yesterday's gone today's are within what is included: the change of e1 alone is 0.
    void_usage(context_of(world), event_id="e1")
    assert world.account("a-day").settled == before


def test_usage_that_is_priced_anew_counts_against_spend_caps(store: SqlStore) -> None:
    world = LimitWorld(
        store,
        money("cap", "50"),
        money("ever", "50", unit=WindowUnit.LIFETIME),
        money("a-day", "50", unit=WindowUnit.DAY),
    )
    world.agent().push(event("e1", quantities={"users": "7"}))
    assert {account.settled for account in world.accounts().values()} == {14_000_000}
    heard: list[str] = []
    store.news.listen(heard.append)
    with store.write() as unit:
        plan = unit.catalog.latest_plan("pro")
        assert plan is not None
        prices = tuple(
            replace(price, model=PerUnit(Decimal(5)))
            if isinstance(price, UsagePrice) and price.meter == "peak"
            else price
            for price in plan.prices
        )
        unit.catalog.add_plan_version(replace(plan, version=2, prices=prices), create_time=NOON)
        (subscription,) = unit.subscriptions.of_customer("acme")
        unit.subscriptions.update_history(replace(subscription, plan_version=2), update_time=NOON)
        unit.catalog.advance_revision()
        unit.customers.lock(["acme"])
        with limits_following(unit, customer_id="acme", now=NOON):
            rebuild_running_charges(unit, customer_id="acme")
    settled = {key: account.settled for key, account in world.accounts().items()}
    # 7 × 5.00 in place of 7 × 2.00. A charge does not say on which day it came about.
    assert settled == {"cap": 35_000_000, "ever": 35_000_000, "a-day": 14_000_000}
    assert "acme" in heard
