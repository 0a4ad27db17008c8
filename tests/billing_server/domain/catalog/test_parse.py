"""Catalog files: what is read, and how every mistake is named with its line."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing_server.domain.catalog.model import (
    Aggregation,
    BillTiming,
    CatalogFile,
    Plan,
    RecurringPrice,
    UsagePrice,
)
from billing_server.domain.catalog.parse import (
    parse_catalog,
    parse_catalog_files,
    parse_catalog_nodes,
)
from billing_server.domain.document import load_yaml
from billing_server.domain.rating.graduated import Graduated
from billing_server.domain.subscription.model import Customer
from metering.errors import ValidationError

GOOD = """
meters:
  - {key: input_tokens, unit: token, aggregation: sum, decimals: 0}
  - {key: large_input, quantity: input_tokens, where: {model: large}, aggregation: sum}
  - {key: gpu_seconds, unit: second, aggregation: sum, decimals: 6}
  - {key: requests, aggregation: count}
plans:
  - key: pro
    name: Pro
    currency: USD
    billing_period: month
    anchor: anniversary
    proration: second
    effective_from: 2026-03-01T00:00:00Z
    prices:
      - {key: base, kind: recurring, amount: "20.00", bill: in_advance}
      - key: input
        kind: usage
        meter: input_tokens
        where: {model: large}
        included: "1000000"
        model: graduated
        tiers:
          - {up_to: "10000000", unit_price: "0.000003", flat_price: "0"}
          - {unit_price: "0.0000025"}
customers:
  - {id: acme, name: Acme, currency: USD, timezone: Europe/Berlin, country: DE, tax_exempt: none,
     email: billing@acme.example, purchase_order: PO-1, billable: true}
subscriptions:
  - {id: sub-1, customer: acme, plan: pro, start: 2026-01-31T10:00:00Z}
  - {id: sub-2, customer: acme, plan: pro}
"""


def mistakes_of(text: str, **known: CatalogFile) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        parse_catalog(text, name="catalog.yaml", **known)
    assert caught.value.reason == "CATALOG_INVALID"
    return [(violation.field, violation.reason) for violation in caught.value.violations]


def with_prices(prices: str) -> str:
    return f"""
meters: [{{key: tokens, aggregation: sum}}]
plans:
  - key: pro
    currency: USD
    prices:
{prices}
"""


def test_a_whole_catalog_is_read() -> None:
    catalog = parse_catalog(GOOD, name="catalog.yaml")
    assert [meter.key for meter in catalog.meters] == [
        "input_tokens",
        "large_input",
        "gpu_seconds",
        "requests",
    ]
    assert catalog.meters[0].quantity == "input_tokens"
    assert catalog.meters[1].quantity == "input_tokens"
    assert catalog.meters[1].where == {"model": "large"}
    assert catalog.meters[2].decimals == 6
    assert catalog.meters[3].aggregation is Aggregation.COUNT
    (plan,) = catalog.plans
    assert plan.version == 0
    assert plan.effective_from == datetime(2026, 3, 1, tzinfo=UTC)
    base, usage = plan.prices
    assert base == RecurringPrice(key="base", amount=Decimal(20), bill=BillTiming.IN_ADVANCE)
    assert isinstance(usage, UsagePrice)
    assert usage.included == 1000000
    assert isinstance(usage.model, Graduated)
    assert usage.model.tiers[1].unit_price == Decimal("0.0000025")
    assert catalog.customers[0].timezone == "Europe/Berlin"
    assert catalog.subscriptions[0].start == datetime(2026, 1, 31, 10, tzinfo=UTC)
    assert catalog.subscriptions[1].start is None


def test_a_float_is_refused_with_the_line_it_stands_on_and_the_remedy() -> None:
    text = with_prices("      - {key: base, kind: recurring, amount: 20.00}")
    with pytest.raises(ValidationError) as caught:
        parse_catalog(text, name="catalog.yaml")
    (violation,) = caught.value.violations
    assert violation.reason == "FLOAT_NOT_ALLOWED"
    assert violation.description == (
        "catalog.yaml:7: plans[0].prices[0].amount: 20.00 would be read as a float and lose "
        'digits; quote it: "20.00"'
    )
    assert str(caught.value) == violation.description


def test_every_mistake_of_a_file_is_named_in_the_order_of_its_lines() -> None:
    found = mistakes_of(
        """
meters:
  - {key: a, aggregation: summ}
  - {key: b, aggregation: sum, uint: token}
plans:
  - key: pro
    currency: USDX
    trial_days: 3
    prices:
      - {key: base, kind: recurring, amount: 20.00}
      - {key: i, kind: usage, meter: c, model: volume, tiers: []}
customers: [{id: acme, timezone: Europe/Berlinn}]
subscriptions: [{id: sub-1, customer: acm, plan: prp}]
coupons: []
"""
    )
    assert found == [
        ("meters[0].aggregation", "CHOICE_UNKNOWN"),
        ("meters[1].uint", "FIELD_UNKNOWN"),
        ("plans[0].currency", "CURRENCY_UNKNOWN"),
        ("plans[0].trial_days", "NOT_SUPPORTED_YET"),
        ("plans[0].prices[0].amount", "FLOAT_NOT_ALLOWED"),
        ("plans[0].prices[1].tiers", "TIERS_EMPTY"),
        ("plans[0].prices[1].meter", "METER_UNKNOWN"),
        ("customers[0].timezone", "TIMEZONE_UNKNOWN"),
        ("subscriptions[0].plan", "PLAN_UNKNOWN"),
        ("subscriptions[0].customer", "CUSTOMER_UNKNOWN"),
        ("coupons", "NOT_SUPPORTED_YET"),
    ]


def test_r32_a_possible_tie_is_refused_and_names_both_prices() -> None:
    text = with_prices(
        """
      - {key: big, kind: usage, meter: tokens, where: {model: x}, model: per_unit, unit_price: "1"}
      - {key: eu, kind: usage, meter: tokens, where: {region: eu}, model: per_unit, unit_price: "2"}
"""
    )
    with pytest.raises(ValidationError) as caught:
        parse_catalog(text, name="catalog.yaml")
    (violation,) = caught.value.violations
    assert (violation.field, violation.reason) == ("plans[0].prices[1].where", "PRICES_TIED")
    assert "prices 'big' and 'eu'" in violation.description


@pytest.mark.parametrize(
    ("price", "field", "reason"),
    [
        ("{kind: recurring, amount: '1'}", "key", "FIELD_MISSING"),
        ("{key: a, kind: recurring}", "amount", "FIELD_MISSING"),
        ("{key: a, kind: one_time}", "amount", "FIELD_MISSING"),
        ("{key: a, kind: one_time, amount: '1', bill: in_arrears}", "bill", "FIELD_UNKNOWN"),
        (
            "{key: a, kind: recurring, amount: '1', billing_period: era}",
            "billing_period",
            "CHOICE_UNKNOWN",
        ),
        ("{key: a, kind: recuring, amount: '1'}", "kind", "PRICE_KIND_UNKNOWN"),
        ("{key: a, kind: recurring, amount: '-1'}", "amount", "PRICE_NEGATIVE"),
        ("{key: a, kind: recurring, amount: '1', bill: later}", "bill", "CHOICE_UNKNOWN"),
        ("{key: a, kind: recurring, amount: '1', per_unit: 3}", "per_unit", "TEXT_NOT_QUOTED"),
        ("{key: a, kind: usage, model: per_unit, unit_price: '1'}", "meter", "FIELD_MISSING"),
        ("{key: a, kind: usage, meter: tokens, model: per_unit}", "unit_price", "FIELD_MISSING"),
        (
            "{key: a, kind: usage, meter: tokens, model: flat, amount: '1', tax_behavior: net}",
            "tax_behavior",
            "CHOICE_UNKNOWN",
        ),
        (
            "{key: a, kind: recurring, amount: '1', tax_category: 7}",
            "tax_category",
            "TEXT_NOT_QUOTED",
        ),
        ("{key: a, kind: one_time, amount: '1', tax_rate: vat}", "tax_rate", "FIELD_UNKNOWN"),
        (
            "{key: a, kind: usage, meter: tokens, model: per_unit, unit_price: '1', where: {m: 4}}",
            "where.m",
            "TEXT_NOT_QUOTED",
        ),
        (
            "{key: a, kind: usage, meter: tokens, model: per_unit, unit_price: '1', included: '1',"
            " free_units: '1'}",
            "free_units",
            "INCLUDED_TWICE",
        ),
        ("{key: a, key: b, kind: recurring, amount: '1'}", "key", "FIELD_DUPLICATE"),
    ],
)
def test_a_wrong_price_is_refused_by_its_field(price: str, field: str, reason: str) -> None:
    found = mistakes_of(with_prices(f"      - {price}"))
    assert found == [(f"plans[0].prices[0].{field}", reason)]


@pytest.mark.parametrize(
    ("price", "misspelt", "meant"),
    [
        (
            "{key: a, kind: usage, meter: tokens, modle: per_unit, unit_price: '1'}",
            "modle",
            "model",
        ),
        (
            "{key: a, kind: usage, meter: tokens, model: per_unit, unit_prise: '1'}",
            "unit_prise",
            "unit_price",
        ),
        ("{key: a, kind: usage, metre: tokens, model: flat, amount: '1'}", "metre", "meter"),
        ("{key: a, knid: recurring, amount: '1'}", "knid", "kind"),
        ("{kye: a, kind: recurring, amount: '1'}", "kye", "key"),
    ],
)
def test_a_misspelt_field_is_named_beside_the_one_that_is_missing(
    price: str, misspelt: str, meant: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        parse_catalog(with_prices(f"      - {price}"), name="c.yaml")
    where = "c.yaml:7: plans[0].prices[0]"
    assert sorted(item.description for item in caught.value.violations) == sorted(
        [
            f"{where}.{meant}: the field is missing",
            f"{where}.{misspelt}: unknown field; did you mean {meant!r}?",
        ]
    )


def test_free_units_are_the_included_units() -> None:
    catalog = parse_catalog(
        with_prices(
            "      - {key: a, kind: usage, meter: tokens, free_units: '5', model: per_unit,"
            " unit_price: '1'}"
        ),
        name="catalog.yaml",
    )
    assert catalog.plans[0].usage_prices[0].included == 5


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        (
            "meters: [{key: a, aggregation: sum}, {key: a, aggregation: sum}]",
            "meters[1].key",
            "KEY_DUPLICATE",
        ),
        (
            "meters: [{key: a, aggregation: count, decimals: 2}]",
            "meters[0].decimals",
            "DECIMALS_NOT_ALLOWED",
        ),
        (
            "meters: [{key: a, aggregation: sum, decimals: 10}]",
            "meters[0].decimals",
            "INTEGER_OUT_OF_RANGE",
        ),
        ("meters: [{key: a, aggregation: unique_count}]", "meters[0].of", "FIELD_MISSING"),
        ("meters: [{key: a, aggregation: sum, of: user}]", "meters[0].of", "OF_NOT_ALLOWED"),
        (
            "meters: [{key: a, aggregation: unique_count, of: user, decimals: 2}]",
            "meters[0].decimals",
            "DECIMALS_NOT_ALLOWED",
        ),
        (
            "meters: [{key: a, aggregation: max}]\nplans: [{key: p, currency: USD, prices: [{key: "
            "x, kind: usage, meter: a, model: dynamic}]}]",
            "plans[0].prices[0].model",
            "METER_NOT_SUMMED",
        ),
        ("meters: [{key: a, aggregation: median}]", "meters[0].aggregation", "CHOICE_UNKNOWN"),
        ("meters: [{key: a b, aggregation: sum}]", "meters[0].key", "KEY_MALFORMED"),
        ("meters: {key: a}", "meters", "FIELD_MALFORMED"),
        ("meters: [7]", "meters[0]", "FIELD_MALFORMED"),
        ("customers: [{id: a, billable: false}]", "customers[0].billable", "NOT_SUPPORTED_YET"),
        ("customers: [{id: a, tax_exempt: full}]", "customers[0].tax_exempt", "CHOICE_UNKNOWN"),
        ("7", "", "FIELD_MALFORMED"),
        ("", "", "FIELD_MALFORMED"),
        ("metres: []", "metres", "FIELD_UNKNOWN"),
    ],
)
def test_a_wrong_section_is_refused_by_its_field(text: str, field: str, reason: str) -> None:
    assert (field, reason) in mistakes_of(text)


def test_r73_a_customer_cannot_subscribe_in_another_currency() -> None:
    found = mistakes_of(
        """
plans: [{key: pro, currency: USD}]
customers: [{id: acme, currency: EUR}]
subscriptions: [{id: sub-1, customer: acme, plan: pro}]
"""
    )
    assert found == [("subscriptions[0].plan", "CURRENCY_MISMATCH")]


def test_what_is_applied_already_may_be_referred_to() -> None:
    known = CatalogFile(
        plans=(Plan(key="pro", version=3, currency="USD"),),
        customers=(Customer(id="acme"),),
    )
    text = "subscriptions: [{id: sub-1, customer: acme, plan: pro}]"
    assert len(parse_catalog(text, name="c.yaml", known=known).subscriptions) == 1
    assert mistakes_of(text) == [
        ("subscriptions[0].plan", "PLAN_UNKNOWN"),
        ("subscriptions[0].customer", "CUSTOMER_UNKNOWN"),
    ]


def test_several_files_make_one_catalog_and_name_their_own_lines() -> None:
    meters = "meters: [{key: tokens, aggregation: sum}]"
    plans = """
plans:
  - key: pro
    currency: USD
    prices: [{key: a, kind: usage, meter: tokens, model: per_unit, unit_price: "1"}]
"""
    catalog = parse_catalog_files([("plans.yaml", plans), ("meters.yaml", meters)])
    assert len(catalog.plans) == len(catalog.meters) == 1
    with pytest.raises(ValidationError) as caught:
        parse_catalog_files([("meters.yaml", meters), ("more.yaml", meters)])
    (violation,) = caught.value.violations
    assert violation.description.startswith("more.yaml:1: meters[0].key: 'tokens' stands in")


def test_a_catalog_inside_another_document_is_read_with_its_path() -> None:
    node = load_yaml("meters: [{key: a}]", name="scenario.yaml")
    with pytest.raises(ValidationError) as caught:
        parse_catalog_nodes([("scenario.yaml", node)], path="catalog")
    assert [violation.field for violation in caught.value.violations] == [
        "catalog.meters[0].aggregation"
    ]


def test_an_item_that_is_wrong_is_still_there_for_what_refers_to_it() -> None:
    found = mistakes_of(
        """
meters: [{key: tokens, aggregation: nonsense}]
plans:
  - key: pro
    currency: XXXX
    prices: [{key: a, kind: usage, meter: tokens, model: per_unit, unit_price: "1"}]
customers: [{id: acme, timezone: Nowhere}]
subscriptions: [{id: sub-1, customer: acme, plan: pro}]
"""
    )
    assert [reason for _, reason in found] == [
        "CHOICE_UNKNOWN",
        "CURRENCY_UNKNOWN",
        "TIMEZONE_UNKNOWN",
    ]


def test_a_start_at_the_end_of_the_calendar_is_refused_with_its_line() -> None:
    text = """
subscriptions:
  - id: sub-1
    customer: acme
    plan: pro
    start: 9999-12-31T23:59:00Z
"""
    with pytest.raises(ValidationError, match=r"c.yaml:6: subscriptions\[0\].start: .*correct"):
        parse_catalog(text, name="c.yaml")


@pytest.mark.parametrize("seats", ["-3", "2.5", "many"])
def test_a_wrong_quantity_is_one_mistake_and_not_missing_as_well(seats: str) -> None:
    price = '{key: seats, kind: recurring, amount: "5", per_unit: seats}'
    text = f"""
plans:
  - {{key: team, currency: USD, prices: [{price}]}}
customers:
  - {{id: acme, currency: USD}}
subscriptions:
  - {{id: sub-1, customer: acme, plan: team, quantities: {{seats: {seats}}}}}
"""
    ((field, _),) = mistakes_of(text)
    assert field == "subscriptions[0].quantities.seats"
