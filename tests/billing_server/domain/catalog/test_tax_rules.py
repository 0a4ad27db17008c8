"""Tax across the parts of a catalog: nothing is charged twice or silently left out."""

from decimal import Decimal

import pytest

from billing_server.domain.catalog.model import CatalogFile
from billing_server.domain.catalog.parse import parse_catalog
from billing_server.domain.tax.rate import TaxRate
from metering.errors import ValidationError

KNOWN = CatalogFile(
    tax_rates=(
        TaxRate(key="de", name="VAT", rate=Decimal("0.19"), country="DE", category="saas"),
        TaxRate(key="at", name="VAT", rate=Decimal("0.20"), country="AT"),
    )
)


def mistakes_of(text: str, *, known: CatalogFile = KNOWN) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        parse_catalog(text, name="c.yaml", known=known)
    return [(each.field, each.reason) for each in caught.value.violations]


def test_two_rates_of_one_tax_at_one_time_are_refused_naming_both() -> None:
    text = """
tax_rates:
  - {key: a, name: VAT, rate: "0.1", country: FR}
  - {key: b, name: VAT, rate: "0.2", country: FR, from: 2026-01-01}
"""
    with pytest.raises(ValidationError) as caught:
        parse_catalog(text, name="c.yaml")
    assert [each.description for each in caught.value.violations] == [
        "c.yaml:4: tax_rates[1].from: rates 'a' and 'b' are both VAT of FR at one time; end one "
        "with until where the other begins, give one a region or a category, or another name if "
        "both are to be charged"
    ]


def test_a_rate_beside_one_that_is_applied_already_is_refused_and_its_end_lets_it_in() -> None:
    new = 'tax_rates: [{key: de-2, name: VAT, rate: "0.2", country: DE, category: saas%s}]'
    assert mistakes_of(new % "") == [("tax_rates[0].from", "TAX_RATES_OVERLAP")]
    ended = (new % ", from: 2027-01-01").removesuffix("]") + (
        ', {key: de, name: VAT, rate: "0.19", country: DE, category: saas, until: 2027-01-01}]'
    )
    assert len(parse_catalog(ended, name="c.yaml", known=KNOWN).tax_rates) == 2


def test_other_names_regions_and_categories_stand_beside_each_other() -> None:
    text = """
tax_rates:
  - {key: a, name: GST, rate: "0.1", country: CA}
  - {key: b, name: PST, rate: "0.1", country: CA}
  - {key: c, name: PST, rate: "0.1", country: CA, region: BC}
  - {key: d, name: PST, rate: "0.1", country: CA, category: books}
"""
    assert len(parse_catalog(text, name="c.yaml").tax_rates) == 4


def test_a_category_that_no_rate_is_for_is_refused_at_its_price() -> None:
    text = """
plans:
  - key: pro
    currency: EUR
    prices:
      - {key: a, kind: recurring, amount: "1", tax_category: saas}
      - {key: b, kind: recurring, amount: "1", tax_category: sass}
addons:
  - key: more
    prices: [{key: c, kind: recurring, amount: "1", tax_category: sos}]
"""
    assert mistakes_of(text) == [
        ("plans[0].prices[1].tax_category", "TAX_CATEGORY_UNKNOWN"),
        ("addons[0].prices[0].tax_category", "TAX_CATEGORY_UNKNOWN"),
    ]
    parse_catalog(text, name="c.yaml")  # Before there is a rate, any category may be named.


def test_a_wrong_rate_is_no_second_mistake_of_the_price_that_asks_for_it() -> None:
    text = """
plans:
  - {key: pro, currency: EUR, prices: [{key: a, kind: one_time, amount: "1", tax_category: food}]}
tax_rates: [{key: food, name: VAT, rate: "7", country: DE, category: food}]
"""
    assert mistakes_of(text) == [("tax_rates[0].rate", "TAX_RATE_ABOVE_ONE")]


def test_a_country_that_no_rate_can_match_is_refused_once_there_are_rates() -> None:
    text = "customers: [{id: a, country: Germany}, {id: b, country: DE}, {id: c}]"
    assert mistakes_of(text) == [("customers[0].country", "COUNTRY_MALFORMED")]
    assert len(parse_catalog(text, name="c.yaml").customers) == 3


@pytest.mark.parametrize(
    "terms", ['minimum_spend: "5"', 'commitment: {amount: "5"}'], ids=["minimum", "commitment"]
)
def test_prices_under_a_minimum_or_a_commitment_are_taxed_in_one_way(terms: str) -> None:
    text = """
plans:
  - key: pro
    currency: EUR
    %s
    prices:
      - {key: a, kind: recurring, amount: "1", tax_category: saas}
      - {key: b, kind: recurring, amount: "1", tax_category: saas}
      - {key: c, kind: recurring, amount: "1", tax_category: saas, tax_behavior: inclusive}
"""
    assert mistakes_of(text % terms) == [("plans[0].prices[2].tax_category", "TAX_MIXED")]
    parse_catalog(text % "name: Pro", name="c.yaml", known=KNOWN)
