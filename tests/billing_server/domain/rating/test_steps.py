"""Rating steps as JSON."""

from decimal import Decimal

from billing_server.domain.rating.graduated import Graduated
from billing_server.domain.rating.steps import steps_to_list
from billing_server.domain.rating.tier import Tier


def test_steps_are_plain_decimals_without_exponent() -> None:
    model = Graduated((Tier(Decimal(1000), Decimal("0.01")), Tier(None, Decimal("0.005"))))
    assert steps_to_list(model.explain(Decimal(3000))) == [
        {
            "from": "0",
            "to": "1000",
            "quantity": "1000",
            "unit_price": "0.01",
            "flat_price": "0",
            "amount": "10",
        },
        {
            "from": "1000",
            "to": None,
            "quantity": "2000",
            "unit_price": "0.005",
            "flat_price": "0",
            "amount": "10",
        },
    ]
