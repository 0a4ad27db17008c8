"""Add-ons of running subscriptions, on both databases."""

from decimal import Decimal

import pytest

from billing_server.services.change_addons import add_addon, remove_addon
from billing_server.services.change_terms import Moment
from billing_server.services.context import ServiceContext
from billing_server.services.list_subscriptions import show_subscription
from billing_server.services.move_clock import advance_clock
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from metering.errors import InvalidStateError, ValidationError
from tests.billing_server.world import CATALOG, Usage, apply, make_context

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


def test_an_add_on_charges_the_rest_of_the_period_and_its_usage(store: SqlStore) -> None:
    context = world(store)
    usage = Usage(context)
    usage.send("5000", at="2026-02-05T00:00:00Z", dimensions={"model": "small"})
    advance_clock(context, to=parse_instant("2026-02-14T10:00:00Z"))
    add_addon(context, subscription_id="sub-1", addon_key="support")
    usage.send("7000", at="2026-02-14T10:00:00Z", dimensions={"model": "small"})
    draft = upcoming_invoice(context, customer_id="acme")
    # 28.00 × 14/28 for the rest, 28.00 for the next period; the 5,000 before stay unpriced.
    assert amounts(context) == [
        ("base", 0, "20.00"),
        ("help", 0, "14.00"),
        ("help", 0, "28.00"),
        ("small", 0, "7.00"),
    ]
    assert [each["quantity"] for each in draft["unpriced"]] == ["5000"]
    removed = remove_addon(context, subscription_id="sub-1", addon_key="support")
    assert removed.addons[0].end == parse_instant("2026-02-28T10:00:00Z")
    assert amounts(context) == [
        ("base", 0, "20.00"),
        ("help", 0, "14.00"),
        ("small", 0, "7.00"),
    ]


def test_an_add_on_in_the_minute_of_the_start_is_charged_on_the_first_periodic_invoice(
    store: SqlStore,
) -> None:
    """The start invoice is issued by then; its fee is caught up with, once (R67)."""
    context = world(store)
    add_addon(context, subscription_id="sub-1", addon_key="support")
    assert amounts(context) == [
        ("base", 0, "20.00"),
        ("help", 0, "28.00"),
        ("help", 0, "28.00"),
    ]
    advance_clock(context, to=parse_instant("2026-03-01T00:00:00Z"))
    assert amounts(context) == [("base", 0, "20.00"), ("help", 0, "28.00")]


def test_a_fee_for_each_unit_needs_its_quantity(store: SqlStore) -> None:
    context = world(store)
    with pytest.raises(ValidationError) as refused:
        add_addon(context, subscription_id="sub-1", addon_key="seats")
    assert refused.value.reason == "SUBSCRIPTION_TERMS_INVALID"
    assert show_subscription(context, subscription_id="sub-1").addons == ()
    add_addon(context, subscription_id="sub-1", addon_key="seats", quantities={"seats": 3})
    assert ("seats", 0, "30.00") in amounts(context)


def test_a_quantity_that_is_set_already_is_not_changed_by_an_add_on(
    memory_store: SqlStore,
) -> None:
    context = world(memory_store)
    three, four = {"seats": Decimal(3)}, {"seats": Decimal(4)}
    add_addon(context, subscription_id="sub-1", addon_key="seats", quantities=three)
    remove_addon(context, subscription_id="sub-1", addon_key="seats", effective=Moment.NOW)
    with pytest.raises(InvalidStateError, match="has 3 seats already, not 4: leave seats out"):
        add_addon(context, subscription_id="sub-1", addon_key="seats", quantities=four)
    add_addon(context, subscription_id="sub-1", addon_key="seats", quantities=three)
