"""The stairstep price model."""

from decimal import Decimal

import pytest

from tests.billing_server.domain.rating.reading import quantity_model, refusals_of

TIERS: list[object] = [
    {"up_to": "100", "flat_price": "10"},
    {"up_to": "500", "flat_price": "25"},
    {"flat_price": "60"},
]


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [("0", 0), ("0.1", 10), ("100", 10), ("100.5", 25), ("500", 25), ("9000", 60)],
)
def test_the_flat_price_of_the_tier_that_holds_the_quantity_is_all(
    quantity: str, amount: int
) -> None:
    assert quantity_model(model="stairstep", tiers=TIERS).rate(Decimal(quantity)) == amount


def test_the_step_names_the_stair() -> None:
    (step,) = quantity_model(model="stairstep", tiers=TIERS).explain(Decimal(101))
    assert (step.from_quantity, step.to_quantity, step.quantity) == (100, 500, 101)
    assert (step.unit_price, step.flat_price, step.amount) == (0, 25, 25)


def test_fields_are_written_without_unit_prices() -> None:
    assert quantity_model(model="stairstep", tiers=TIERS).to_fields() == {"tiers": TIERS}


def test_a_unit_price_is_refused_with_the_model_that_has_one() -> None:
    tiers = [{"flat_price": "1", "unit_price": "0.1"}]
    assert refusals_of(model="stairstep", tiers=tiers) == [
        ("tiers[0].unit_price", "UNIT_PRICE_NOT_ALLOWED")
    ]


def test_a_stair_needs_its_price() -> None:
    assert refusals_of(model="stairstep", tiers=[{}]) == [("tiers[0].flat_price", "FIELD_MISSING")]
