"""The graduated percentage price model."""

from decimal import Decimal

import pytest

from tests.billing_server.domain.rating.reading import quantity_model, refusals_of

TIERS: list[object] = [
    {"up_to": "1000", "rate": "0.02", "flat_price": "0"},
    {"rate": "0.01", "flat_price": "5"},
]


@pytest.mark.parametrize(
    ("amount", "price"),
    [
        ("0", "0"),
        ("1000", "20"),  # 1000 × 2 %
        ("1000.01", "25.0001"),  # 20 + 5 + 0.01 × 1 %
        ("1500", "30"),  # 20 + 5 + 500 × 1 %
    ],
)
def test_each_tier_takes_its_share_of_its_part(amount: str, price: str) -> None:
    model = quantity_model(model="graduated_percentage", tiers=TIERS)
    assert model.rate(Decimal(amount)) == Decimal(price)
    assert sum(step.amount for step in model.explain(Decimal(amount))) == Decimal(price)


def test_fields_are_written_with_rates() -> None:
    model = quantity_model(model="graduated_percentage", tiers=TIERS)
    assert (model.name, model.to_fields()) == ("graduated_percentage", {"tiers": TIERS})


def test_a_rate_above_one_and_a_unit_price_are_refused() -> None:
    assert refusals_of(model="graduated_percentage", tiers=[{"rate": "2"}]) == [
        ("tiers[0].rate", "RATE_ABOVE_ONE")
    ]
    assert ("tiers[0].unit_price", "FIELD_UNKNOWN") in refusals_of(
        model="graduated_percentage", tiers=[{"unit_price": "0.1", "rate": "0.1"}]
    )
