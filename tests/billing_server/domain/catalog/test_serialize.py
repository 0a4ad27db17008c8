"""Catalog values as plain JSON and back."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from billing_server.domain.catalog.model import Anchor, AnchorMode, CatalogFile
from billing_server.domain.catalog.parse import parse_catalog, parse_catalog_nodes
from billing_server.domain.catalog.serialize import (
    canonical_json,
    catalog_to_dict,
    customer_from_dict,
    customer_to_dict,
    meter_from_dict,
    meter_to_dict,
    plan_from_dict,
    plan_to_dict,
    price_to_dict,
    subscription_entry_from_dict,
    subscription_entry_to_dict,
)
from billing_server.domain.document import node_from_plain
from metering.errors import ValidationError

CATALOG = """
meters:
  - {key: tokens, unit: token, aggregation: sum, decimals: 3, where: {b: "2", a: "1"}}
plans:
  - key: pro
    name: Pro
    currency: USD
    billing_period: {every: 2, unit: week}
    anchor: wednesday
    proration: day_30
    effective_from: 2026-03-01T01:00:00+01:00
    prices:
      - {key: base, name: Base, kind: recurring, amount: "20.00", bill: in_arrears}
      - key: input
        kind: usage
        meter: tokens
        where: {model: large}
        included: "10.50"
        model: graduated
        tiers: [{up_to: "5.0", unit_price: "0.10"}, {flat_price: "1"}]
      - {key: other, kind: usage, meter: tokens, model: per_unit, unit_price: "0.0"}
customers: [{id: acme, timezone: Asia/Tokyo, tax_id: T1}]
subscriptions: [{id: sub-1, customer: acme, plan: pro, anchor: 2026-01-01T00:00:00Z}]
"""


@pytest.fixture
def catalog() -> CatalogFile:
    return parse_catalog(CATALOG, name="catalog.yaml")


def test_everything_survives_the_way_to_json_and_back(catalog: CatalogFile) -> None:
    meter, plan = catalog.meters[0], replace(catalog.plans[0], version=7)
    customer, entry = catalog.customers[0], catalog.subscriptions[0]
    assert meter_from_dict(json.loads(json.dumps(meter_to_dict(meter)))) == meter
    assert plan_from_dict(json.loads(json.dumps(plan_to_dict(plan)))) == plan
    assert customer_from_dict(json.loads(json.dumps(customer_to_dict(customer)))) == customer
    plain_entry = json.loads(json.dumps(subscription_entry_to_dict(entry)))
    assert subscription_entry_from_dict(plain_entry) == entry


@pytest.mark.parametrize(
    "anchor",
    [Anchor(), Anchor(AnchorMode.CALENDAR), Anchor(AnchorMode.WEEKDAY, day=7)],
)
def test_every_anchor_of_weeks_survives(catalog: CatalogFile, anchor: Anchor) -> None:
    plan = replace(catalog.plans[0], anchor=anchor)
    assert plan_from_dict(plan_to_dict(plan)) == plan


def test_numbers_and_instants_are_written_in_one_way(catalog: CatalogFile) -> None:
    plan = plan_to_dict(catalog.plans[0])
    assert plan["effective_from"] == "2026-03-01T00:00:00Z"
    assert plan["billing_period"] == {"every": 2, "unit": "week"}
    assert price_to_dict(catalog.plans[0].prices[1]) == {
        "key": "input",
        "name": None,
        "kind": "usage",
        "meter": "tokens",
        "where": {"model": "large"},
        "included": "10.5",
        "model": "graduated",
        "tiers": [
            {"up_to": "5", "unit_price": "0.1", "flat_price": "0"},
            {"unit_price": "0", "flat_price": "1"},
        ],
    }


def test_what_a_unit_costs_the_seller_survives_and_is_left_out_where_it_is_not_known(
    catalog: CatalogFile,
) -> None:
    plan = catalog.plans[0]
    known = replace(plan.usage_prices[1], unit_cost=Decimal("0.00000250"))
    assert price_to_dict(known)["unit_cost"] == "0.0000025"
    with_cost = replace(plan, prices=(known,))
    assert plan_from_dict(plan_to_dict(with_cost)) == with_cost
    assert "unit_cost" not in price_to_dict(plan.usage_prices[1])


def test_a_whole_catalog_is_written_as_a_catalog_file(catalog: CatalogFile) -> None:
    written = catalog_to_dict(catalog)
    again = parse_catalog_nodes([("export", node_from_plain(written))])
    assert again == catalog


def test_canonical_json_does_not_depend_on_order() -> None:
    assert canonical_json({"b": 1, "a": "ü"}) == canonical_json({"a": "ü", "b": 1})
    assert canonical_json({"b": [1], "a": None}) == '{"a":null,"b":[1]}'


def test_content_that_is_wrong_is_refused_by_its_field() -> None:
    with pytest.raises(ValidationError) as caught:
        plan_from_dict({"key": "pro", "currency": "USD", "version": -1, "prises": []})
    assert caught.value.reason == "CONTENT_MALFORMED"
    assert [violation.field for violation in caught.value.violations] == ["version", "prises"]
