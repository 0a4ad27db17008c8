"""Limits as people see them: used, reserved, leased where, presumed, left, and the bound."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing_server.domain.catalog.limit import LimitSubject, LimitWindow, WindowUnit
from billing_server.services.forget_agent import forget_agent, release_lease
from billing_server.services.limit_views import (
    LimitView,
    list_plan_limits,
    list_threshold_events,
    show_limits,
)
from billing_server.services.pages import PageRequest
from billing_server.store.unit_of_work import SqlStore
from metering.errors import NotFoundError, ValidationError
from metering.limits import Enforcement, OfflinePolicy
from tests.billing_server.ingest_world import event
from tests.billing_server.lease_world import LeaseWorld, want
from tests.billing_server.limit_world import debited, money, units
from tests.billing_server.world import context_of

SLOTS = {"subject": LimitSubject.CONCURRENCY, "meter": ""}


def bound_of(found: LimitView) -> int | None:
    return None if found.bound is None else found.bound.total


def view(world: LeaseWorld, key: str) -> LimitView:
    found = show_limits(context_of(world), customer_id="acme")
    return next(each for each in found if each.limit.key == key)


def test_what_is_used_leased_where_and_left_adds_up_to_the_limit(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 10_000), money("cap", "5"))
    first, second = world.leasing("host-1"), world.leasing("host-2")
    first.sync(want("daily", 100))
    second.sync(want("daily", 10))
    first.use("e1", tokens=400)
    next(iter(second.leases.values())).held = 30
    second.sync(want("daily", 10))
    found = view(world, "daily")
    assert (found.escrow.settled, found.escrow.out, found.reserved) == (400, 1_100 + 150, 30)
    assert found.left == 10_000 - 400 - 1_250
    assert [(each.agent_name, each.lease.rest) for each in found.shares] == [
        ("host-1", 1_100),
        ("host-2", 150),
    ]
    assert bound_of(found) == 10_000


def test_the_bound_counts_what_went_past_the_limit_once(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agent = world.leasing()
    agent.sync(want("daily", 10))
    agent.push(event("e1"))
    found = view(world, "daily")
    assert found.account.unreserved == 100
    assert bound_of(found) == 1_000, "within the limit it only leaves less to grant"
    agent.push(event("e2", quantities={"input_tokens": "1500"}))
    found = view(world, "daily")
    # 100 + 1500 are counted, 150 are leased out and may still be used.
    assert (found.escrow.settled, found.escrow.out) == (1_600, 150)
    assert bound_of(found) == 1_750


def test_an_allowance_counts_once_before_and_after_it_is_used(store: SqlStore) -> None:
    allowance = {"when_offline": OfflinePolicy.ALLOWANCE, "allowance": Decimal(300)}
    world = LeaseWorld(store, units("daily", 1_000, **allowance), money("cap", "50"))
    first, second = world.leasing("host-1"), world.leasing("host-2")
    for each in (first, second):
        each.sync(customer_ids=("acme",))
    found = view(world, "daily")
    assert (found.allowance_used, found.allowance_left, bound_of(found)) == (0, 600, 1_600)
    first.sync(want("daily", 200))
    free = first.free()
    offline = debited("e1", tokens=1_240, debits=[(next(iter(first.leases)), free)])
    offline.settlement.allowances.add(limit_key="daily", amount=200)
    first.push(offline)
    found = view(world, "daily")
    assert found.escrow.settled == 1_240
    assert found.account.overrun == 1_240 - free - 200
    assert (found.allowance_used, found.allowance_left) == (200, 100 + 300)
    assert bound_of(found) == 1_240 + 400
    first.come_back_without_disk()
    first.sync(customer_ids=("acme",))
    found = view(world, "daily")
    # The lost disk may still be used by nobody knows whom, the new one has an allowance anew.
    assert (found.allowance_used, found.allowance_left) == (200, 100 + 300 + 300)


def test_an_allowance_of_money_is_taken_from_what_was_rated_beyond_leases(store: SqlStore) -> None:
    cap = replace(
        money("cap", "5"), when_offline=OfflinePolicy.ALLOWANCE, allowance=Decimal("1.00")
    )
    world = LeaseWorld(store, cap)
    agent = world.leasing()
    agent.push(event("e0", quantities={"input_tokens": "1000"}))  # What is included.
    offline = debited("e1", tokens=90, debits=[])  # 0.01 each
    offline.settlement.allowances.add(limit_key="cap", amount=950_000)
    agent.push(offline)
    found = view(world, "cap")
    assert (found.escrow.settled, found.allowance_used) == (900_000, 900_000)
    assert (found.account.unreserved, found.account.estimate_error) == (0, 0)


def test_a_released_lease_is_in_the_bound_until_its_use_is_counted(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 1_000))
    agent = world.leasing("host-1")
    agent.sync(want("daily", 10))  # 150
    context = context_of(world)
    forget_agent(context, name="host-1", actor="anna")
    (lease_id,) = agent.leases
    release_lease(context, lease_id=lease_id, actor="anna")
    found = view(world, "daily")
    assert (found.left, found.account.released, bound_of(found)) == (1_000, 150, 1_150)
    agent.push(debited("e1", tokens=60, debits=[(lease_id, 60)]))
    assert bound_of(view(world, "daily")) == 1_000 + 90


@pytest.mark.parametrize(
    ("changes", "bound"),
    [
        ({}, 1_000),
        ({"enforcement": Enforcement.SOFT}, None),
        ({"enforcement": Enforcement.SHADOW}, None),
        ({"when_offline": OfflinePolicy.OPEN}, None),
        ({"window": LimitWindow(WindowUnit.MINUTE), "burst": Decimal(50)}, 1_050),
        (SLOTS, None),
        ({**SLOTS, "max_hold": timedelta(minutes=5)}, 1_000),
    ],
)
def test_only_what_refuses_bounds(
    memory_store: SqlStore, changes: dict[str, Any], bound: int | None
) -> None:
    world = LeaseWorld(memory_store, units("most", 1_000, **changes))
    assert bound_of(view(world, "most")) == bound


def test_a_limit_that_nobody_has_used_is_shown_whole(store: SqlStore) -> None:
    world = LeaseWorld(store, units("rate", 600, unit=WindowUnit.MINUTE))
    found = view(world, "rate")
    assert (found.left, found.shares) == (600, ())


def test_an_unknown_customer_is_not_found(store: SqlStore) -> None:
    with pytest.raises(NotFoundError, match="nobody"):
        show_limits(context_of(LeaseWorld(store)), customer_id="nobody")


def test_thresholds_come_in_pages_in_the_order_they_were_passed(store: SqlStore) -> None:
    world = LeaseWorld(store, units("daily", 100), units("hourly", 110))
    context = context_of(world)
    world.leasing().push(event("e1"))
    first = list_threshold_events(context, customer_id="acme", page=PageRequest(limit=2))
    assert [(each.key.limit_key, str(each.share)) for each in first.entries] == [
        ("daily", "0.8"),
        ("daily", "1"),
    ]
    rest = list_threshold_events(
        context, customer_id=None, page=PageRequest(cursor=first.next_cursor)
    )
    assert [each.key.limit_key for each in rest.entries] == ["hourly"]
    with pytest.raises(ValidationError, match="cursor"):
        list_threshold_events(context, customer_id=None, page=PageRequest(cursor="YQ"))


def test_plans_without_limits_are_left_out(store: SqlStore) -> None:
    assert list_plan_limits(context_of(LeaseWorld(store))) == ()
