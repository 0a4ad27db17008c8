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
        ("plans[0].prices", "METER_NOT_SUMMED"),
        ("addons[0].prices", "METER_NOT_SUMMED"),
    ]


def test_a_plan_that_a_customers_own_limit_cannot_be_kept_under_is_refused() -> None:
    known = parse_catalog(KNOWN, name="known.yaml")
    text = "subscriptions: [{id: sub-1, customer: acme, plan: pro}]"
    assert mistakes_of(text, known=known) == [("subscriptions[0].plan", "PRICE_NOT_ESTIMABLE")]


def test_an_empty_catalog_has_no_mistakes() -> None:
    empty = ReadCatalog(
        meters={}, plans={}, addons={}, customers={}, subscriptions={}, keys={"addons": frozenset()}
    )
    CrossChecks(CatalogFile(), read=empty).note_all()
    assert empty.values() == CatalogFile()
