"""A meter or a price that comes later finds what was counted before. On both databases."""

from decimal import Decimal

import pytest

from billing_server.domain.catalog.model import SubscriptionEntry, UsagePrice
from billing_server.domain.rating.dynamic import Dynamic
from billing_server.services.change_addons import add_addon
from billing_server.services.context import ServiceContext
from billing_server.services.count_history import money_read_by
from billing_server.services.create_subscription import create_subscription
from billing_server.services.override_price import override_price
from billing_server.services.query_usage import UsageQuery, query_usage
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.meters import Sender
from tests.billing_server.world import apply, make_context

START = "2026-04-01T00:00:00Z"
PLAIN = """
meters: [{key: paid, aggregation: sum, decimals: 2}]
plans:
  - key: p
    currency: USD
    anchor: calendar
    prices: []
customers: [{id: acme}]
subscriptions: [{id: sub-1, customer: acme, plan: p, start: 2026-04-01T00:00:00Z}]
"""
BY_EVENT = """
plans:
  - key: p
    currency: USD
    anchor: calendar
    effective_from: 2026-04-01T00:00:00Z
    prices:
      - {key: fee, kind: usage, meter: paid, model: percentage, rate: "0.01",
         fixed_per_event: "0.30", free_amount: "250"}
"""


def test_the_percentage_price_that_comes_later_sees_each_earlier_event(store: SqlStore) -> None:
    context = make_context(store, start=START)
    apply(context, PLAIN)
    sender = Sender(context)
    for number, value in enumerate(("400", "250", "100", "50")):
        sender.send({"paid": value}, at=f"2026-04-10T12:0{9 - number}:00Z")
    apply(context, BY_EVENT)
    (line,) = upcoming_invoice(context, customer_id="acme")["lines"]
    # In order of time 50, 100, 250, 400 with 250 free: 1 % of 150 and of 400, and two fees.
    assert (line["amount"], line["quantity"]) == ("6.10", "800")


def test_a_meter_of_a_known_quantity_counts_what_came_before_it(store: SqlStore) -> None:
    context = make_context(store, start=START)
    apply(context, PLAIN)
    sender = Sender(context)
    sender.send({"paid": "7"}, at="2026-04-10T12:00:00Z", user="u1", card="gold")
    sender.send({"paid": "9"}, at="2026-04-11T12:00:00Z", user="u1")
    apply(
        context,
        "meters: [{key: gold, quantity: paid, where: {card: gold}, aggregation: sum}, "
        "{key: users, aggregation: unique_count, of: user}]",
    )
    start, end = parse_instant(START), parse_instant("2026-05-01T00:00:00Z")
    for meter, quantity in (("gold", 7), ("users", 1), ("paid", 16)):
        answer = query_usage(context, query=UsageQuery("acme", meter, start, end))
        assert [group.quantity for group in answer.groups] == [quantity]


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (Dynamic("cost", Decimal(1)), {"calls": frozenset({"cost"})}),
        (Dynamic(None, Decimal(1)), {"calls": frozenset()}),
    ],
)
def test_prices_tell_what_they_read_as_money(model: Dynamic, found: object) -> None:
    assert money_read_by([UsagePrice(key="x", meter="calls", model=model)]) == found


def test_a_dynamic_price_charges_what_its_events_bring_without_a_meter_for_it(
    store: SqlStore,
) -> None:
    context = make_context(store, start=START)
    apply(context, PLAIN.replace("key: paid", "key: calls"))
    sender = Sender(context)
    event = {"calls": "1", "provider_cost": "0.05"}
    assert sender.send(event, at="2026-04-10T12:00:00Z").quarantined == 1
    apply(
        context,
        BY_EVENT.replace("meter: paid", "meter: calls").replace(
            'percentage, rate: "0.01",\n         fixed_per_event: "0.30", free_amount: "250"',
            'dynamic, amount: provider_cost, multiplier: "1.2"',
        ),
    )
    assert sender.send({**event, "provider_cost": "0.10"}, at="2026-04-10T12:01:00Z").counted == 1
    (line,) = upcoming_invoice(context, customer_id="acme")["lines"]
    assert (line["amount"], line["amount_exact"]) == ("0.18", "0.18")


FEE = {"model": "percentage", "rate": "0.01", "fixed_per_event": "0.30", "free_amount": "250"}
FLAT = """
plans:
  - key: q
    currency: USD
    anchor: calendar
    effective_from: 2026-04-01T00:00:00Z
    prices: [{key: fee, kind: usage, meter: paid, model: per_unit, unit_price: "1"}]
subscriptions: [{id: sub-2, customer: acme, plan: q, start: 2026-04-01T00:00:00Z}]
"""
ADDON = """
addons:
  - key: fees
    prices:
      - {key: fee, kind: usage, meter: paid, model: percentage, rate: "0.01",
         fixed_per_event: "0.30", free_amount: "250"}
"""


def paid_world(store: SqlStore) -> ServiceContext:
    """Returns a server on which four payments were counted, the newest first."""
    context = make_context(store, start=START)
    apply(context, PLAIN)
    sender = Sender(context)
    for number, value in enumerate(("400", "250", "100", "50")):
        sender.send({"paid": value}, at=f"2026-04-10T12:0{9 - number}:00Z")
    return context


def test_an_add_on_and_an_override_that_come_later_see_each_earlier_event(
    memory_store: SqlStore,
) -> None:
    context = paid_world(memory_store)
    apply(context, ADDON)
    add_addon(context, subscription_id="sub-1", addon_key="fees")
    (line,) = upcoming_invoice(context, customer_id="acme")["lines"]
    # As with a plan's price: 1 % of 150 and of 400, and two fees.
    assert (line["amount"], line["quantity"]) == ("6.10", "800")


@pytest.mark.parametrize("how", ["override", "apply", "create"])
def test_an_override_that_makes_a_price_look_at_events_sees_each_earlier_one(
    memory_store: SqlStore, how: str
) -> None:
    context = paid_world(memory_store)
    if how == "create":
        apply(context, FLAT.split("subscriptions:", maxsplit=1)[0])
        entry = SubscriptionEntry(
            id="sub-2",
            customer_id="acme",
            plan_key="q",
            start=parse_instant(START),
            overrides={"fee": FEE},
        )
        create_subscription(context, entry=entry)
    else:
        apply(context, FLAT)
        if how == "override":
            override_price(context, subscription_id="sub-2", price="fee", fields=FEE)
        else:
            apply(context, FLAT.replace("plan: q,", f"plan: q, overrides: {{fee: {FEE}}},"))
    (line,) = upcoming_invoice(context, customer_id="acme")["lines"]
    assert (line["amount"], line["quantity"]) == ("6.10", "800")
