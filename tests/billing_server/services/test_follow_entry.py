"""A file that says other terms of a running subscription, on both databases."""

from datetime import timedelta

import pytest

from billing_server.services.context import ServiceContext
from billing_server.services.list_subscriptions import show_subscription
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.errors import ValidationError
from tests.billing_server.world import CATALOG, apply, make_context

ADDONS = """
addons:
  - key: support
    prices:
      - {key: help, name: Help, kind: recurring, amount: "28.00"}
      - {key: small, kind: usage, meter: tokens, where: {model: small}, model: per_unit,
         unit_price: "0.001"}
  - {key: seats, prices: [{key: seats, kind: recurring, amount: "10", per_unit: seats}]}
"""


def world(store: SqlStore) -> ServiceContext:
    context = make_context(store)
    apply(context, CATALOG + ADDONS)
    return context


def amounts(context: ServiceContext) -> list[tuple[str, int, str]]:
    draft = upcoming_invoice(context, customer_id="acme")
    return [(line["price"], line["segment"], line["amount"]) for line in draft["lines"]]


def test_a_file_changes_overrides_and_add_ons_of_a_running_subscription(store: SqlStore) -> None:
    context = world(store)
    plain = "{id: sub-1, customer: acme, plan: pro, start: 2026-01-31T10:00:00Z"
    own = CATALOG.replace(plain, plain + ", addons: [support], overrides: {base: {amount: '15'}}")
    context.clock.advance(timedelta(days=1))  # type: ignore[attr-defined]
    assert apply(context, own + ADDONS) == ["update subscription sub-1"]
    subscription = show_subscription(context, subscription_id="sub-1")
    assert [each.key for each in subscription.addons] == ["support"]
    assert apply(context, own + ADDONS) == []
    # A file that says nothing of them leaves them; one that lists others makes them equal.
    assert apply(context, CATALOG + ADDONS) == []
    other = CATALOG.replace(plain, plain + ", overrides: {tokens: {unit_price: '0.02'}}")
    context.clock.advance(timedelta(days=1))  # type: ignore[attr-defined]
    assert apply(context, other + ADDONS) == ["update subscription sub-1"]
    subscription = show_subscription(context, subscription_id="sub-1")
    assert subscription.overrides_at(context.clock.now()) == {"tokens": {"unit_price": "0.02"}}


def test_a_file_adds_an_add_on_with_its_quantity_and_leaves_quantities_that_it_does_not_name(
    memory_store: SqlStore,
) -> None:
    context = world(memory_store)
    plain = "{id: sub-1, customer: acme, plan: pro, start: 2026-01-31T10:00:00Z"
    more = CATALOG.replace(plain, plain + ", addons: [seats], quantities: {seats: 3}")
    assert apply(context, more + ADDONS) == ["update subscription sub-1"]
    assert ("seats", 0, "30.00") in amounts(context)
    assert apply(context, CATALOG + ADDONS) == []
    other = CATALOG.replace(plain, plain + ", quantities: {seats: 4}")
    with pytest.raises(ValidationError, match=r"quantities\.seats: 3 -> 4"):
        apply(context, other + ADDONS)
