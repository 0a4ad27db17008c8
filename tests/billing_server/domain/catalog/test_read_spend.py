"""Minimum spend, commitment and thresholds of a plan."""

from decimal import Decimal

import pytest

from billing_server.domain.catalog.model import Commitment, Plan, Thresholds
from billing_server.domain.catalog.parse import parse_catalog
from billing_server.domain.catalog.read_spend import spend_to_dict
from billing_server.domain.catalog.serialize import plan_from_dict, plan_to_dict
from metering.errors import ValidationError


def plan(fields: str) -> Plan:
    text = f"plans: [{{key: pro, currency: USD, {fields}}}]"
    return parse_catalog(text, name="x.yaml").plans[0]


def test_they_are_read_and_written_back() -> None:
    found = plan(
        'minimum_spend: "50.00", commitment: {amount: "1000", overage_discount: "0.20"}, '
        'thresholds: ["200.00", "500"]'
    )
    assert found.minimum_spend == Decimal(50)
    assert found.commitment == Commitment(amount=Decimal(1000), overage_discount=Decimal("0.2"))
    assert found.thresholds == Thresholds(steps=(Decimal(200), Decimal(500)))
    assert spend_to_dict(found) == {
        "minimum_spend": "50",
        "commitment": {"amount": "1000", "overage_discount": "0.2"},
        "thresholds": ["200", "500"],
    }
    assert plan_from_dict(plan_to_dict(found)) == found


def test_thresholds_may_be_a_distance() -> None:
    found = plan('thresholds: {every: "500.00"}')
    assert found.thresholds == Thresholds(every=Decimal(500))
    assert plan_from_dict(plan_to_dict(found)) == found
    assert spend_to_dict(plan("name: Pro")) == {}


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ('minimum_spend: "-1"', "minimum_spend", "PRICE_NEGATIVE"),
        ("minimum_spend: 50.5", "minimum_spend", "FLOAT_NOT_ALLOWED"),
        ("commitment: {}", "commitment.amount", "FIELD_MISSING"),
        ('commitment: {amount: "0"}', "commitment.amount", "AMOUNT_ZERO"),
        (
            'commitment: {amount: "1", overage_discount: "20"}',
            "commitment.overage_discount",
            "RATE_ABOVE_ONE",
        ),
        ('thresholds: ["5", "5"]', "thresholds", "THRESHOLDS_NOT_ASCENDING"),
        ("thresholds: {}", "thresholds.every", "FIELD_MISSING"),
    ],
)
def test_a_wrong_one_is_refused_by_its_field(fields: str, field: str, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        plan(fields)
    assert (f"plans[0].{field}", reason) in {
        (each.field, each.reason) for each in caught.value.violations
    }
