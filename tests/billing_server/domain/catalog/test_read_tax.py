"""Tax rates of a catalog file, and what prices and customers say of tax."""

from datetime import date
from decimal import Decimal

import pytest

from billing_server.domain.catalog.parse import parse_catalog
from billing_server.domain.catalog.read_tax import is_country_code, unknown_category
from billing_server.domain.catalog.serialize import (
    customer_from_dict,
    customer_to_dict,
    plan_from_dict,
    plan_to_dict,
    tax_rate_from_dict,
    tax_rate_to_dict,
)
from billing_server.domain.subscription.model import Customer
from billing_server.domain.tax.rate import TaxBehavior, TaxExemption, TaxRate
from metering.errors import ValidationError

DE = TaxRate(
    key="de-vat",
    name="VAT",
    rate=Decimal("0.19"),
    country="DE",
    category="saas",
    start=date(2021, 1, 1),
)


def mistakes_of(text: str) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        parse_catalog(text, name="c.yaml")
    return [f"{each.reason} {each.description}" for each in caught.value.violations]


def test_a_rate_is_read_with_its_place_its_goods_and_its_days() -> None:
    catalog = parse_catalog(
        """
tax_rates:
  - {key: de-vat, name: VAT, rate: "0.190", country: DE, region: null, category: saas,
     from: 2021-01-01}
  - {key: pst, name: PST, rate: "0.07", country: CA, region: BC, until: "2030-01-01T00:00:00Z"}
""",
        name="c.yaml",
    )
    pst = TaxRate(
        key="pst",
        name="PST",
        rate=Decimal("0.07"),
        country="CA",
        region="BC",
        end=date(2030, 1, 1),
    )
    assert catalog.tax_rates == (DE, pst)
    assert [tax_rate_from_dict(tax_rate_to_dict(rate)) for rate in (DE, pst)] == [DE, pst]
    assert tax_rate_to_dict(DE) == {
        "key": "de-vat",
        "name": "VAT",
        "rate": "0.19",
        "country": "DE",
        "region": None,
        "category": "saas",
        "from": "2021-01-01",
        "until": None,
    }


@pytest.mark.parametrize(
    ("fields", "mistake"),
    [
        (
            'rate: "19", country: DE',
            "TAX_RATE_ABOVE_ONE c.yaml:1: tax_rates[0].rate: 19 is more than the whole; a rate is "
            'a fraction: 19 % is "0.19"',
        ),
        (
            "rate: 0.19, country: DE",
            "FLOAT_NOT_ALLOWED c.yaml:1: tax_rates[0].rate: 0.19 would be read as a float and lose "
            'digits; quote it: "0.19"',
        ),
        (
            'rate: "-0.1", country: DE',
            "PRICE_NEGATIVE c.yaml:1: tax_rates[0].rate: -0.1 is negative; a price is 0 or more",
        ),
        (
            'rate: "0.1", country: Germany',
            "COUNTRY_MALFORMED c.yaml:1: tax_rates[0].country: 'Germany' is no country; write its "
            "ISO 3166 code in two capitals, such as DE",
        ),
        (
            'rate: "0.1", country: NO',
            "TEXT_NOT_QUOTED c.yaml:1: tax_rates[0].country: NO is true or false, not text; quote "
            'it: "NO"',
        ),
        ('rate: "0.1"', "FIELD_MISSING c.yaml:1: tax_rates[0].country: the field is missing"),
        (
            'rate: "0.1", country: DE, until: 2021-01-01T05:00:00Z',
            "DAY_MALFORMED c.yaml:1: tax_rates[0].until: 2021-01-01T05:00:00Z: tax rates change "
            "with a day, wherever it begins; write 2021-01-01",
        ),
        (
            'rate: "0.1", country: DE, from: 2021-01-01, until: 2021-01-01',
            "TAX_RATE_NEVER_LAW c.yaml:1: tax_rates[0].until: until 2021-01-01 is not after from "
            "2021-01-01; it is the first day without the rate",
        ),
        (
            'percent: "19", rate: "0.19", country: DE',
            "FIELD_UNKNOWN c.yaml:1: tax_rates[0].percent: unknown field; known are: category, "
            "country, from, key, name, rate, region, until",
        ),
    ],
)
def test_a_wrong_rate_is_refused_with_its_line_and_what_to_write(fields: str, mistake: str) -> None:
    assert mistakes_of(f"tax_rates: [{{key: vat, name: VAT, {fields}}}]") == [mistake]


def test_every_kind_of_price_says_how_it_is_taxed_and_keeps_it_in_storage() -> None:
    (plan,) = parse_catalog(
        """
meters: [{key: calls, aggregation: sum}]
plans:
  - key: pro
    currency: EUR
    prices:
      - {key: a, kind: recurring, amount: "1", tax_category: saas, tax_behavior: inclusive}
      - {key: b, kind: one_time, amount: "1", tax_behavior: inclusive}
      - {key: c, kind: usage, meter: calls, model: flat, amount: "1", tax_category: saas}
      - {key: d, kind: recurring, amount: "1", tax_behavior: exclusive}
""",
        name="c.yaml",
    ).plans
    assert [(price.tax_category, price.tax_behavior) for price in plan.prices] == [
        ("saas", TaxBehavior.INCLUSIVE),
        ("", TaxBehavior.INCLUSIVE),
        ("saas", TaxBehavior.EXCLUSIVE),
        ("", TaxBehavior.EXCLUSIVE),
    ]
    assert plan_from_dict(plan_to_dict(plan)) == plan
    last = plan_to_dict(plan)["prices"][-1]  # type: ignore[index]
    assert "tax_behavior" not in last, "what was stored before there was tax stays as it was"


def test_a_customer_says_where_it_is_taxed_and_whether_and_keeps_it_in_storage() -> None:
    (customer,) = parse_catalog(
        "customers: [{id: acme, country: CA, region: BC, tax_exempt: reverse_charge}]",
        name="c.yaml",
    ).customers
    assert (customer.region, customer.tax_exempt) == ("BC", TaxExemption.REVERSE_CHARGE)
    assert customer_from_dict(customer_to_dict(customer)) == customer
    assert not {"region", "tax_exempt"} & customer_to_dict(Customer(id="plain")).keys()


def test_country_codes_are_two_capitals() -> None:
    codes = ("DE", "de", "D", "DEU", "D1", "ÄÖ")
    assert [is_country_code(code) for code in codes] == [True, False, False, False, False, False]


def test_a_category_needs_a_rate_once_there_are_rates() -> None:
    assert unknown_category("saas", rates=[DE]) is None
    assert unknown_category("", rates=[DE]) is None
    assert unknown_category("books", rates=[]) is None
    problem = unknown_category("books", rates=[DE])
    assert problem == (
        "no tax rate is for category 'books'; add one under tax_rates, or use one of: saas"
    )
