"""The small questions that catalog values answer about themselves."""

from decimal import Decimal

from billing_server.domain.catalog.model import (
    Aggregation,
    Plan,
    RecurringPrice,
    UsagePrice,
)
from billing_server.domain.rating.per_unit import PerUnit


def test_r17_sums_counts_and_levels_add_up_over_spans_and_the_others_do_not() -> None:
    assert [item for item in Aggregation if item.is_additive] == [
        Aggregation.SUM,
        Aggregation.COUNT,
        Aggregation.TIME_WEIGHTED,
    ]


def test_the_values_of_an_average_are_summed_and_yet_do_not_add_up() -> None:
    assert [item for item in Aggregation if item.is_summed] == [
        Aggregation.SUM,
        Aggregation.COUNT,
        Aggregation.AVERAGE,
    ]


def test_a_plan_tells_its_prices_on_meters() -> None:
    fee = RecurringPrice(key="fee", amount=Decimal(1))
    usage = UsagePrice(key="usage", meter="tokens", model=PerUnit(Decimal(1)))
    plan = Plan(key="pro", currency="USD", prices=(usage, fee))
    assert plan.usage_prices == (usage,)
