"""What a limit may not ask for, with the line in a file."""

import pytest

from billing_server.domain.catalog.limit_rules import limit_problems
from billing_server.domain.catalog.parse import parse_catalog
from billing_server.domain.catalog.read_limit import limit_from_dict
from metering.errors import ValidationError

TEXT = """
meters:
  - {key: tokens, aggregation: sum}
  - {key: peak, aggregation: max}
plans:
  - key: pro
    currency: USD
    prices:
      - {key: volume, kind: usage, meter: tokens, model: volume, tiers: [{unit_price: "1"}]EXTRA}
    limits:
      - {key: a, LIMIT}
"""
CUSTOMER = """
customers:
  - id: acme
    limits:
      - {key: b, amount: "5", window: month}
subscriptions: [{id: sub-1, customer: acme, plan: pro}]
"""


def mistakes_of(limit: str, *, extra: str = "", more: str = "") -> list[str]:
    text = TEXT.replace("LIMIT", limit).replace("EXTRA", extra) + more
    try:
        parse_catalog(text, name="catalog.yaml")
    except ValidationError as error:
        return [f"{each.reason} {each.description}" for each in error.violations]
    return []


def test_a_hard_limit_of_money_needs_a_highest_unit_price_or_an_estimate() -> None:
    (found,) = mistakes_of('amount: "500", window: month')
    assert found.startswith(
        "PRICE_NOT_ESTIMABLE catalog.yaml:11: plans[0].limits[0].amount: a hard limit of money"
    )
    assert "'volume' of model volume" in found
    assert "estimate_unit_price" in found
    assert mistakes_of('amount: "500", window: month, enforcement: soft') == []
    estimated = ', estimate_unit_price: "1"'
    assert mistakes_of('amount: "500", window: month', extra=estimated) == []
    (balance,) = mistakes_of("balance: prepaid")
    assert "plans[0].limits[0].balance" in balance


def test_a_customers_own_limit_is_checked_against_the_plans_that_it_is_on() -> None:
    (found,) = mistakes_of("concurrency: 5", more=CUSTOMER)
    assert found.startswith("PRICE_NOT_ESTIMABLE catalog.yaml:16: customers[0].limits[0].amount")


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("meter: peak, window: day, max: 5", "LIMIT_METER_NOT_ADDITIVE"),
        ('meter: tokens, window: day, max: "0.5"', "QUANTITY_TOO_PRECISE"),
        ('meter: tokens, window: minute, max: 5, burst: "0.5"', "QUANTITY_TOO_PRECISE"),
    ],
)
def test_what_cannot_be_shared_out_is_refused_with_its_line(limit: str, reason: str) -> None:
    (found,) = mistakes_of(limit)
    assert found.startswith(f"{reason} catalog.yaml:11: plans[0].limits[0].")


def test_a_meter_that_is_not_there_is_a_problem_of_the_limit() -> None:
    limit = limit_from_dict({"key": "a", "meter": "gone", "window": "day", "max": "5"})
    (problem,) = limit_problems(limit, meters={}, prices=())
    assert (problem.field, problem.reason) == ("meter", "METER_UNKNOWN")
