"""What the parts of a catalog ask of each other, and of what is applied already."""

import pytest

from billing_server.domain.catalog.cross_checks import CrossChecks, ReadCatalog
from billing_server.domain.catalog.model import CatalogFile
from billing_server.domain.catalog.parse import parse_catalog
from metering.errors import ValidationError

KNOWN = """
meters: [{key: paid, aggregation: sum}]
plans:
  - key: pro
    currency: USD
    prices: [{key: fee, kind: usage, meter: paid, model: dynamic, amount: cost}]
addons:
  - key: more
    prices: [{key: more, kind: usage, meter: paid, where: {a: b}, model: dynamic, amount: cost}]
customers: [{id: acme, currency: USD, limits: [{key: cap, amount: "5", window: month}]}]
"""


def mistakes_of(text: str, *, known: CatalogFile) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        parse_catalog(text, name="c.yaml", known=known)
    return [(each.field, each.reason) for each in caught.value.violations]


def test_a_meter_cannot_become_one_that_a_price_by_event_cannot_have() -> None:
    known = parse_catalog(KNOWN, name="known.yaml")
    wrong = "meters: [{key: paid, aggregation: latest}]"
    assert mistakes_of(wrong, known=known) == [
        ("meters[0].aggregation", "METER_NOT_SUMMED"),
        ("meters[0].aggregation", "METER_NOT_SUMMED"),
    ]
    both = wrong + KNOWN.split("}]", maxsplit=1)[1].split("customers:", maxsplit=1)[0]
    assert mistakes_of(both, known=known) == [
        ("plans[0].prices[0].model", "METER_NOT_SUMMED"),
        ("addons[0].prices[0].model", "METER_NOT_SUMMED"),
    ]


def test_a_plan_that_a_customers_own_limit_cannot_be_kept_under_is_refused() -> None:
    known = parse_catalog(KNOWN, name="known.yaml")
    text = "subscriptions: [{id: sub-1, customer: acme, plan: pro}]"
    assert mistakes_of(text, known=known) == [("subscriptions[0].plan", "PRICE_NOT_ESTIMABLE")]


def test_r73_the_first_plan_of_a_new_customer_decides_its_currency() -> None:
    text = """
plans: [{key: pro, currency: USD}, {key: euro, currency: EUR}]
customers: [{id: acme}]
subscriptions:
  - {id: sub-1, customer: acme, plan: pro}
  - {id: sub-2, customer: acme, plan: euro}
"""
    assert mistakes_of(text, known=CatalogFile()) == [
        ("subscriptions[1].plan", "CURRENCY_MISMATCH")
    ]


def test_a_price_of_usage_that_its_meter_does_not_count_is_refused() -> None:
    text = """
meters: [{key: tokens, aggregation: sum, where: {model: large}}]
plans:
  - key: pro
    currency: USD
    prices:
      - {key: a, kind: usage, meter: tokens, where: {model: large, region: eu}, model: package,
         package_size: "5", package_price: "1"}
      - {key: b, kind: usage, meter: tokens, where: {model: small}, model: package,
         package_size: "5", package_price: "1"}
"""
    with pytest.raises(ValidationError) as caught:
        parse_catalog(text, name="c.yaml", known=CatalogFile())
    assert [(each.field, each.description) for each in caught.value.violations] == [
        (
            "plans[0].prices[1].where",
            "c.yaml:9: plans[0].prices[1].where: price 'b' asks for model 'small', and meter "
            "'tokens' counts model 'large' alone; correct one of them",
        )
    ]


def test_an_empty_catalog_has_no_mistakes() -> None:
    empty = ReadCatalog(
        meters={},
        plans={},
        addons={},
        tax_rates={},
        customers={},
        subscriptions={},
        keys={"addons": frozenset(), "tax_rates": frozenset()},
    )
    CrossChecks(CatalogFile(), read=empty).note_all()
    assert empty.values() == CatalogFile()
