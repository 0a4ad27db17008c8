"""What a price may not ask of its meter."""

from decimal import Decimal

import pytest

from billing_server.domain.catalog.model import Aggregation, Meter, UsagePrice
from billing_server.domain.catalog.price_rules import by_event_problem
from billing_server.domain.rating.dynamic import Dynamic
from billing_server.domain.rating.per_unit import PerUnit

BY_EVENT = UsagePrice(key="fee", meter="paid", model=Dynamic("cost", Decimal(1)))


@pytest.mark.parametrize("aggregation", list(Aggregation))
def test_a_price_by_event_needs_a_meter_whose_values_add_up(aggregation: Aggregation) -> None:
    meters = {"paid": Meter(key="paid", quantity="paid", aggregation=aggregation)}
    problem = by_event_problem(BY_EVENT, meters=meters)
    assert (problem is None) == (aggregation in {Aggregation.SUM, Aggregation.COUNT})


def test_other_prices_and_meters_that_are_not_there_are_no_mistake_of_it() -> None:
    assert by_event_problem(BY_EVENT, meters={}) is None
    meters = {"paid": Meter(key="paid", quantity="paid", aggregation=Aggregation.MAX)}
    by_total = UsagePrice(key="fee", meter="paid", model=PerUnit(Decimal(1)))
    assert by_event_problem(by_total, meters=meters) is None
