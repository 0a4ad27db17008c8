"""Arithmetic without rounding: decimals stay decimals, a fraction makes a fraction."""

from decimal import Decimal
from fractions import Fraction

from billing_server.domain.rating.exact import add, multiply, multiply_add, subtract

THIRD = Fraction(1, 3)


def test_decimals_stay_decimals() -> None:
    results = [
        add(Decimal("0.1"), Decimal("0.2")),
        subtract(Decimal("0.3"), Decimal("0.1")),
        multiply(Decimal("0.1"), Decimal(3)),
        multiply_add(Decimal(3), Decimal("0.1"), Decimal("0.2")),
    ]
    assert results == [Decimal("0.3"), Decimal("0.2"), Decimal("0.3"), Decimal("0.5")]
    assert all(isinstance(result, Decimal) for result in results)


def test_a_fraction_stays_exact_beside_a_decimal() -> None:
    assert add(THIRD, Decimal("0.5")) == Fraction(5, 6)
    assert subtract(Decimal(1), THIRD) == Fraction(2, 3)
    assert multiply(THIRD, Decimal(3)) == 1
    assert multiply_add(THIRD, Decimal(2), Decimal("0.5")) == Fraction(7, 6)


def test_a_result_with_more_digits_than_a_decimal_keeps_is_an_exact_fraction() -> None:
    huge, small = Decimal(10) ** 59, Decimal("0.01")
    assert add(huge, small) == Fraction(10**61 + 1, 100)
    assert subtract(huge, small) == Fraction(10**61 - 1, 100)
    assert multiply(Decimal(10**59 + 1), Decimal("1.1")) == Fraction((10**59 + 1) * 11, 10)
    assert multiply_add(huge, Decimal(1), small) == Fraction(10**61 + 1, 100)
