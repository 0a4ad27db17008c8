"""The small questions that catalog values answer about themselves."""

from decimal import Decimal

from billing_server.domain.catalog.model import (
    Aggregation,
    BillTiming,
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


def test_a_plan_tells_its_prices_by_kind_and_in_order() -> None:
    before = RecurringPrice(key="before", amount=Decimal(1))
    after = RecurringPrice(key="after", amount=Decimal(1), bill=BillTiming.IN_ARREARS)
    usage = UsagePrice(key="usage", meter="tokens", model=PerUnit(Decimal(1)))
    plan = Plan(key="pro", currency="USD", prices=(usage, after, before))
    assert plan.usage_prices == (usage,)
    assert plan.recurring_prices(BillTiming.IN_ADVANCE) == (before,)
    assert plan.recurring_prices(BillTiming.IN_ARREARS) == (after,)
