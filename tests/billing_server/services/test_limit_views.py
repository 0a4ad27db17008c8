"""Limits as people see them: used, reserved, leased where, presumed, left, and the bound."""

import pytest

from billing_server.domain.catalog.limit import WindowUnit
from billing_server.services.limit_views import (
    LimitView,
    list_plan_limits,
    list_threshold_events,
    show_limits,
)
from billing_server.services.pages import PageRequest
from billing_server.store.unit_of_work import SqlStore
from metering.errors import NotFoundError, ValidationError
from metering.limits import OfflinePolicy
from tests.billing_server.ingest_world import event
from tests.billing_server.lease_world import LeaseWorld, want
from tests.billing_server.limit_world import money, units
from tests.billing_server.world import context_of


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
    assert found.bound.total == 10_000


def test_the_bound_grows_by_what_went_past_the_limit_and_by_allowances(store: SqlStore) -> None:
    world = LeaseWorld(
        store, units("daily", 1_000, when_offline=OfflinePolicy.ALLOWANCE, allowance=50)
    )
    agent = world.leasing()
    agent.sync(want("daily", 10))
    agent.push(event("e1"))
    found = view(world, "daily")
    assert found.account.unreserved == 100
    assert found.bound.total == 1_000 + 100 + 50


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
