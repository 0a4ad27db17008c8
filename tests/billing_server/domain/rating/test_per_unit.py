"""The per_unit price model."""

from decimal import Decimal

from billing_server.domain.rating.per_unit import PerUnit


def test_r22_a_unit_price_of_seven_places_is_exact() -> None:
    # 1,234,567 tokens at 0.0000025 = 3.0864175; rounding comes later, once a line.
    assert PerUnit(Decimal("0.0000025")).rate(Decimal(1234567)) == Decimal("3.0864175")


def test_r22_a_unit_price_of_twelve_places_is_exact() -> None:
    # 3 × 0.000000000001
    assert PerUnit(Decimal("0.000000000001")).rate(Decimal(3)) == Decimal("0.000000000003")


def test_large_totals_are_exact() -> None:
    # 24 digits of usage times 12 places of price need 31 digits; the default context has 28.
    quantity = Decimal("123456789012345678901234")
    amount = PerUnit(Decimal("0.000000100001")).rate(quantity)
    numerator, denominator = amount.as_integer_ratio()
    assert numerator * 10**12 == 123456789012345678901234 * 100001 * denominator


def test_r27_zero_usage_costs_nothing_and_has_no_step() -> None:
    model = PerUnit(Decimal("0.5"))
    assert model.rate(Decimal(0)) == 0
    assert model.explain(Decimal(0)) == ()


def test_one_step_explains_the_amount() -> None:
    (step,) = PerUnit(Decimal("0.5")).explain(Decimal(3))
    assert (step.from_quantity, step.to_quantity) == (0, None)
    assert (step.quantity, step.unit_price, step.flat_price) == (3, Decimal("0.5"), 0)
    assert step.amount == Decimal("1.5")


def test_fields_are_written_canonically() -> None:
    assert PerUnit(Decimal("0.50")).to_fields() == {"unit_price": "0.5"}
