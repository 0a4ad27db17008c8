"""What holds for every model of the table."""

from decimal import Decimal

import pytest

from billing_server.domain.rating.graduated import Graduated
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.rating.price_model import PriceModel
from billing_server.domain.rating.tier import Tier

MODELS: list[PriceModel] = [
    PerUnit(Decimal("0.3")),
    Graduated((Tier(Decimal(5), Decimal("0.2"), Decimal(1)), Tier(None, Decimal("0.1")))),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
@pytest.mark.parametrize("quantity", ["0", "0.000000001", "5", "5.5", "1000000"])
def test_the_steps_of_every_model_add_up_to_its_amount(model: PriceModel, quantity: str) -> None:
    steps = model.explain(Decimal(quantity))
    assert sum(step.amount for step in steps) == model.rate(Decimal(quantity))
    assert sum(step.quantity for step in steps) == Decimal(quantity)
