"""What changes an amount after the model."""

from decimal import Decimal
from fractions import Fraction

import pytest

from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes
from billing_server.domain.rating.adjustments import (
    AmountDiscount,
    Discount,
    Maximum,
    Minimum,
    RateDiscount,
    adjustment_step,
    read_discount,
)

HALF = Fraction(1, 2)


def test_a_rate_takes_off_its_share_and_an_amount_at_most_all() -> None:
    assert RateDiscount(Decimal("0.2")).apply(Decimal(100)) == 80
    assert AmountDiscount(Decimal(5)).apply(Decimal(100)) == 95
    assert AmountDiscount(Decimal(5)).apply(Decimal(3)) == 0
    assert AmountDiscount(Decimal(5)).apply(Fraction(16, 3)) == Fraction(1, 3)


def test_r55_a_fixed_discount_is_prorated_with_what_it_is_on() -> None:
    assert AmountDiscount(Decimal(5)).for_share(HALF).amount == Decimal("2.5")
    rate = RateDiscount(Decimal("0.2"))
    assert rate.for_share(HALF) is rate


def test_maximum_and_minimum_hold_the_amount_between_them() -> None:
    assert [Maximum(Decimal(70)).apply(Decimal(value)) for value in (60, 80)] == [60, 70]
    assert [Minimum(Decimal(50)).apply(Decimal(value)) for value in (0, 60)] == [50, 60]


def test_a_step_says_what_was_changed_and_why() -> None:
    step = adjustment_step(RateDiscount(Decimal("0.2")), before=Decimal(100), after=Decimal(80))
    assert (step.quantity, step.unit_price, step.amount) == (100, Decimal("-0.2"), -20)
    step = adjustment_step(Maximum(Decimal(70)), before=Decimal(80), after=Decimal(70))
    assert (str(step.kind), step.flat_price, step.amount) == ("maximum", -10, -10)


def read(fields: dict[str, object]) -> tuple[Discount | None, list[tuple[str, str]]]:
    mistakes = Mistakes("test")
    reader = FieldReader(node_from_plain(fields), path="discount", mistakes=mistakes)
    return read_discount(reader), [(each.field, each.reason) for each in mistakes.violations]


def test_a_discount_is_read_and_written() -> None:
    for fields in ({"rate": "0.25"}, {"amount": "5"}):
        found, refusals = read(dict(fields))
        assert refusals == []
        assert found is not None
        assert found.to_fields() == fields


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({}, "discount.rate", "DISCOUNT_UNCLEAR"),
        ({"rate": "0.1", "amount": "5"}, "discount.rate", "DISCOUNT_UNCLEAR"),
        ({"rate": "10"}, "discount.rate", "RATE_ABOVE_ONE"),
        ({"amount": "-5"}, "discount.amount", "PRICE_NEGATIVE"),
        ({"percent": "0.1", "rate": "0.1"}, "discount.percent", "FIELD_UNKNOWN"),
    ],
)
def test_a_wrong_discount_is_refused_by_its_field(
    fields: dict[str, object], field: str, reason: str
) -> None:
    assert read(fields)[1] == [(field, reason)]
