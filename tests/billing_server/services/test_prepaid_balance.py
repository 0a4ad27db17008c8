"""Prepaid balances: each entry once, in and out, never by a fraction of a millionth."""

from decimal import Decimal

import pytest

from billing_server.domain.catalog.limit import Limit, LimitSubject
from billing_server.domain.subscription.model import Customer
from billing_server.services.context import ServiceContext
from billing_server.services.prepaid_balance import (
    PrepaidBalance,
    add_to_balance,
    show_balance,
)
from billing_server.store.unit_of_work import SqlStore
from metering.errors import (
    AlreadyExistsError,
    InvalidStateError,
    MeteringError,
    NotFoundError,
)
from tests.billing_server.ingest_world import START, event
from tests.billing_server.lease_world import LeaseWorld
from tests.billing_server.world import context_of


def add(
    context: ServiceContext, amount: str, *, entry: str = "p1", customer: str = "acme"
) -> PrepaidBalance:
    return add_to_balance(
        context, customer_id=customer, entry_id=entry, amount=amount, note="", actor="anna"
    )


def test_money_goes_in_and_out_and_a_repeat_is_no_second_entry(store: SqlStore) -> None:
    context = context_of(LeaseWorld(store))
    assert show_balance(context, customer_id="acme").amount == 0
    for _ in range(2):
        assert add(context, "25.00").amount == 25
    assert add(context, "-4.5", entry="p2").amount == Decimal("20.5")
    assert show_balance(context, customer_id="acme").amount == Decimal("20.5")
    with store.read() as unit:
        assert len(unit.audit.page(before=None, limit=9)) == 2


def test_what_is_left_is_told_where_a_limit_counts_what_is_used(store: SqlStore) -> None:
    world = LeaseWorld(store)
    context = context_of(world)
    found = add(context, "25.00")
    assert (found.used, found.left) == (None, None)
    world.limit(Limit(key="prepaid", subject=LimitSubject.BALANCE))
    agent = world.leasing()
    agent.push(event("e1", quantities={"input_tokens": "1300"}))  # 300 × 0.01
    agent.acquire(world.key("prepaid"), amount=2_000_000)
    found = show_balance(context, customer_id="acme")
    with store.read() as unit:
        (lease,) = unit.leases.of_windows([world.key("prepaid")])
    assert (found.amount, found.used) == (25, 3)
    # 22 less what the agent may still spend.
    assert found.left == 22 - Decimal(lease.rest).scaleb(-6) < 20
    assert add(context, "10", entry="p2").left == found.left + 10


def test_an_id_that_stands_for_something_else_is_refused(store: SqlStore) -> None:
    world = LeaseWorld(store)
    world.add_customer("bela")
    context = context_of(world)
    add(context, "25.00")
    with pytest.raises(AlreadyExistsError, match="another amount"):
        add(context, "26.00")
    with pytest.raises(AlreadyExistsError):
        add(context, "25.00", customer="bela")


@pytest.mark.parametrize(
    ("amount", "entry", "reason"),
    [
        ("0", "p1", "BALANCE_ENTRY_MALFORMED"),
        ("0.0000001", "p1", "BALANCE_ENTRY_MALFORMED"),
        ("1000000001", "p1", "BALANCE_ENTRY_MALFORMED"),
        ("x", "p1", "PRICE_MALFORMED"),
        ("5", "", "BALANCE_ENTRY_MALFORMED"),
        ("5", "a" * 129, "BALANCE_ENTRY_MALFORMED"),
    ],
)
def test_what_is_no_entry_is_refused(
    memory_store: SqlStore, amount: str, entry: str, reason: str
) -> None:
    context = context_of(LeaseWorld(memory_store))
    with pytest.raises(MeteringError) as caught:
        add(context, amount, entry=entry)
    assert caught.value.reason == reason


def test_a_balance_needs_a_customer_with_a_currency(memory_store: SqlStore) -> None:
    world = LeaseWorld(memory_store)
    with memory_store.write() as unit:
        unit.customers.add(Customer(id="new"), create_time=START)
    context = context_of(world)
    with pytest.raises(InvalidStateError, match="no currency yet"):
        add(context, "5", customer="new")
    with pytest.raises(NotFoundError):
        add(context, "5", customer="nobody")
    with pytest.raises(NotFoundError):
        show_balance(context, customer_id="nobody")
