"""The prices of one subscription: its plan's with overrides, and those of its add-ons."""

from dataclasses import replace
from decimal import Decimal

import pytest

from billing_server.domain.catalog.limit import Limit, LimitSubject
from billing_server.domain.catalog.model import Addon, Meter, Plan, RecurringPrice, UsagePrice
from billing_server.domain.catalog.parse import parse_catalog
from billing_server.domain.catalog.terms import Surroundings, check_terms, effective_plan
from billing_server.domain.rating.tier import Tier
from billing_server.domain.rating.volume import Volume
from metering.errors import ValidationError

PLAN = Plan(
    key="pro", version=1, currency="USD", prices=(RecurringPrice(key="base", amount=Decimal(20)),)
)
SEATS = Addon(
    key="team",
    version=1,
    prices=(RecurringPrice(key="seats", amount=Decimal(10), per_unit="seats"),),
)


def test_overrides_and_add_ons_come_into_the_plan() -> None:
    found = effective_plan(
        PLAN,
        overrides={"base": {"amount": "15"}, "seats": {"amount": "8"}, "later": {"amount": "1"}},
        addons=[SEATS],
    )
    assert [(price.key, price.amount) for price in found.prices] == [("base", 15), ("seats", 8)]


def test_terms_that_fit_together_are_let_pass() -> None:
    check_terms(
        PLAN,
        overrides={"seats": {"amount": "8"}},
        addons=[SEATS],
        quantities={"seats": Decimal(3)},
        surroundings=Surroundings({}),
        name="sub-1",
    )


def test_all_that_does_not_fit_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        check_terms(
            PLAN,
            overrides={"nothing": {"amount": "8"}},
            addons=[SEATS, Addon(key="twin", version=1, prices=PLAN.prices)],
            quantities={},
            surroundings=Surroundings({}),
            name="sub-1",
        )
    assert caught.value.reason == "SUBSCRIPTION_TERMS_INVALID"
    assert [each.reason for each in caught.value.violations] == [
        "PRICE_KEY_DUPLICATE",
        "PRICE_UNKNOWN",
        "QUANTITY_MISSING",
    ]


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ("overrides: {nothing: {amount: '1'}}", "overrides.nothing", "PRICE_UNKNOWN"),
        ("overrides: {base: {amount: '-1'}}", "overrides.base.amount", "PRICE_NEGATIVE"),
        ("overrides: {base: {amount: 1.5}}", "overrides.base.amount", "FLOAT_NOT_ALLOWED"),
        ("overrides: {base: {kind: usage}}", "overrides.base.kind", "OVERRIDE_FIXED_FIELD"),
        ("overrides: {base: {ammount: '1'}}", "overrides.base.ammount", "FIELD_UNKNOWN"),
        ("overrides: {base: '1'}", "overrides.base", "FIELD_MALFORMED"),
        ("overrides: {base: {}}", "overrides.base", "FIELD_MALFORMED"),
        ("overrides: 7", "overrides", "FIELD_MALFORMED"),
        ("addons: [nothing]", "addons", "ADDON_UNKNOWN"),
        ("addons: [support, support]", "addons", "ADDON_DUPLICATE"),
        ("addons: [twin]", "addons", "PRICE_KEY_DUPLICATE"),
        ("addons: [tied]", "addons", "PRICES_TIED"),
        ("addons: [euro]", "addons", "CURRENCY_MISMATCH"),
        ("addons: [seats]", "quantities", "QUANTITY_MISSING"),
        ("addons: [seats], quantities: {seats: 1.5}", "quantities.seats", "INTEGER_MALFORMED"),
        ("quantities: 7", "quantities", "FIELD_MALFORMED"),
    ],
)
def test_wrong_terms_of_a_subscription_are_refused_with_their_line(
    fields: str, field: str, reason: str
) -> None:
    text = ADDONS + f"  - {{id: sub-1, customer: acme, plan: pro, {fields}}}\n"
    with pytest.raises(ValidationError) as caught:
        parse_catalog(text, name="catalog.yaml")
    found = {(each.field, each.reason): each.description for each in caught.value.violations}
    line = text.count("\n")
    assert found[f"subscriptions[0].{field}", reason].startswith(f"catalog.yaml:{line}: ")


ADDONS = """
meters: [{key: calls, aggregation: sum}]
plans:
  - key: pro
    currency: USD
    prices:
      - {key: base, kind: recurring, amount: "20"}
      - {key: calls, kind: usage, meter: calls, where: {a: b}, model: per_unit, unit_price: "1"}
addons:
  - {key: support, prices: [{key: help, kind: recurring, amount: "5"}]}
  - {key: twin, prices: [{key: base, kind: recurring, amount: "5"}]}
  - {key: euro, currency: EUR, prices: [{key: help, kind: recurring, amount: "5"}]}
  - {key: seats, prices: [{key: seats, kind: recurring, amount: "5", per_unit: seats}]}
  - key: tied
    prices:
      - {key: other, kind: usage, meter: calls, where: {c: d}, model: per_unit, unit_price: "1"}
customers: [{id: acme, currency: USD}]
subscriptions:
"""


def test_the_terms_of_a_subscription_are_read_in_canonical_writing() -> None:
    fields = "addons: [support, seats], quantities: {seats: 3}, overrides: {base: {amount: '9.50'}}"
    text = ADDONS + f"  - {{id: sub-1, customer: acme, plan: pro, {fields}}}\n"
    (entry,) = parse_catalog(text, name="catalog.yaml").subscriptions
    assert entry.addons == ("support", "seats")
    assert entry.quantities == {"seats": 3}
    assert entry.overrides == {"base": {"amount": "9.5"}}


BY_EVENT = "{model: percentage, rate: '0.01', fixed_per_event: '0.30'}"
LIMITED = """
meters: [{key: calls, aggregation: sum}, {key: peak, aggregation: max}]
plans:
  - key: pro
    currency: USD
    prices:
      - {key: calls, kind: usage, meter: calls, model: per_unit, unit_price: "1"}
      - {key: peak, kind: usage, meter: peak, model: flat, amount: "1", estimate_unit_price: "1"}
    limits: [{key: cap, amount: "50", window: billing_period}]
addons:
  - key: bulk
    prices:
      - {key: bulk, kind: usage, meter: calls, where: {a: b}, model: volume,
         tiers: [{unit_price: "1"}]}
customers: [{id: acme, currency: USD}]
subscriptions:
"""


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        (f"overrides: {{peak: {BY_EVENT}}}", "overrides.peak", "METER_NOT_SUMMED"),
        (
            "overrides: {calls: {model: volume, tiers: [{unit_price: '1'}]}}",
            "overrides.calls",
            "PRICE_NOT_ESTIMABLE",
        ),
        ("addons: [bulk]", "addons", "PRICE_NOT_ESTIMABLE"),
    ],
)
def test_what_a_subscription_has_of_its_own_fits_its_meters_and_limits(
    fields: str, field: str, reason: str
) -> None:
    text = LIMITED + f"  - {{id: sub-1, customer: acme, plan: pro, {fields}}}\n"
    with pytest.raises(ValidationError) as caught:
        parse_catalog(text, name="catalog.yaml")
    found = {(each.field, each.reason): each.description for each in caught.value.violations}
    assert found[f"subscriptions[0].{field}", reason].startswith("catalog.yaml:17: ")


def test_a_customers_own_limit_is_looked_at_with_the_plan_and_the_add_ons() -> None:
    limit = Limit(key="own", subject=LimitSubject.MONEY, maximum=Decimal(5))
    bulk = UsagePrice(key="bulk", meter="calls", model=Volume((Tier(None, Decimal(1)),)))
    meters = {"calls": Meter(key="calls", quantity="calls")}
    for plan, addons, field in (
        (replace(PLAN, prices=(bulk,)), [], "plan"),
        (PLAN, [Addon(key="bulk", version=1, prices=(bulk,))], "addons"),
    ):
        with pytest.raises(ValidationError) as caught:
            check_terms(
                plan,
                overrides={},
                addons=addons,
                quantities={},
                surroundings=Surroundings(meters, (limit,)),
                name="sub-1",
            )
        (violation,) = caught.value.violations
        assert (violation.field, violation.reason) == (field, "PRICE_NOT_ESTIMABLE")
