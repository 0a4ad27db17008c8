"""Tests of quantities: what is read, what is refused, exact scaling, plain digits."""

from decimal import Decimal
from fractions import Fraction

import pytest

from metering.errors import InvariantError, ValidationError
from metering.quantity import (
    canonical_quantity,
    parse_quantity,
    plain_decimal,
    round_quantity,
    scale_quantity,
    unscale_quantity,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("1200", "1200"),
        ("007", "7"),
        ("0.35", "0.35"),
        ("1.50", "1.5"),
        ("0.000000001", "0.000000001"),
        ("999999999999999999", "999999999999999999"),
        ("123456789.123456789", "123456789.123456789"),
        # Zeros that change no value do not count as digits.
        ("0000000000000000000001.5000000000000", "1.5"),
    ],
)
def test_a_plain_decimal_text_is_read_as_it_stands(text: str, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "QUANTITY_MALFORMED"),
        (" 1", "QUANTITY_MALFORMED"),
        ("1 ", "QUANTITY_MALFORMED"),
        ("1\n", "QUANTITY_MALFORMED"),
        ("+1", "QUANTITY_MALFORMED"),
        ("1e5", "QUANTITY_MALFORMED"),
        ("1_000", "QUANTITY_MALFORMED"),
        ("1,000", "QUANTITY_MALFORMED"),
        (".5", "QUANTITY_MALFORMED"),
        ("5.", "QUANTITY_MALFORMED"),
        ("1.2.3", "QUANTITY_MALFORMED"),
        ("--1", "QUANTITY_MALFORMED"),
        ("NaN", "QUANTITY_MALFORMED"),
        ("Infinity", "QUANTITY_MALFORMED"),
        ("-Infinity", "QUANTITY_MALFORMED"),
        ("0x10", "QUANTITY_MALFORMED"),
        ("١٢٣", "QUANTITY_MALFORMED"),
        ("12३", "QUANTITY_MALFORMED"),
        ("²", "QUANTITY_MALFORMED"),
        ("1.٥", "QUANTITY_MALFORMED"),
        ("1." + "0" * 100, "QUANTITY_MALFORMED"),
        ("-1", "QUANTITY_NEGATIVE"),
        ("-0", "QUANTITY_NEGATIVE"),
        ("-0.5", "QUANTITY_NEGATIVE"),
        ("1000000000000000000", "QUANTITY_TOO_LARGE"),
        ("9" * 100_000, "QUANTITY_TOO_LARGE"),
        ("1234567890.123456789", "QUANTITY_TOO_LARGE"),
        ("0.0000000001", "QUANTITY_TOO_PRECISE"),
        ("1.1234567891", "QUANTITY_TOO_PRECISE"),
    ],
)
def test_every_other_text_is_refused_with_its_reason(text: str, reason: str) -> None:
    for read in (
        parse_quantity,
        canonical_quantity,
        lambda value: scale_quantity(value, decimals=9),
    ):
        with pytest.raises(ValidationError) as caught:
            read(text)
        assert caught.value.reason == reason
        assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1.50", "1.5"),
        ("007", "7"),
        ("0", "0"),
        ("000", "0"),
        ("0.0", "0"),
        ("100", "100"),
        ("10.0", "10"),
        ("00.10", "0.1"),
        ("123456789.1", "123456789.1"),
    ],
)
def test_equal_quantities_have_one_canonical_text(text: str, canonical: str) -> None:
    assert canonical_quantity(text) == canonical


@pytest.mark.parametrize(
    ("value", "decimals", "scaled"),
    [
        ("1200", 0, 1200),
        ("1.5", 3, 1500),
        ("1.50", 1, 15),
        ("0.35", 6, 350_000),
        ("999999999.999999999", 9, 999_999_999_999_999_999),
        (Decimal("1.5"), 3, 1500),
        (Decimal("1E+3"), 0, 1000),
        (Decimal("1.500"), 1, 15),
        (Decimal("-2.25"), 2, -225),
        (Decimal("0E-999999"), 0, 0),
    ],
)
def test_a_quantity_is_scaled_to_an_integer(
    value: Decimal | str, decimals: int, scaled: int
) -> None:
    assert scale_quantity(value, decimals=decimals) == scaled


@pytest.mark.parametrize(
    ("value", "decimals", "reason"),
    [
        ("1.5", 0, "QUANTITY_TOO_PRECISE"),
        ("0.001", 2, "QUANTITY_TOO_PRECISE"),
        (Decimal("0.001"), 2, "QUANTITY_TOO_PRECISE"),
        (Decimal("1.001"), 2, "QUANTITY_TOO_PRECISE"),
        (Decimal("1E-999999"), 9, "QUANTITY_TOO_PRECISE"),
        # 10^9 with nine fraction digits has 19 digits.
        ("1000000000", 9, "QUANTITY_TOO_LARGE"),
        (Decimal(1000000000), 9, "QUANTITY_TOO_LARGE"),
        (Decimal("-1E+18"), 0, "QUANTITY_TOO_LARGE"),
        (Decimal("1E+999999"), 0, "QUANTITY_TOO_LARGE"),
        (Decimal("NaN"), 0, "QUANTITY_MALFORMED"),
        (Decimal("Infinity"), 0, "QUANTITY_MALFORMED"),
    ],
)
def test_scaling_refuses_what_it_would_have_to_round_or_cut(
    value: Decimal | str, decimals: int, reason: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        scale_quantity(value, decimals=decimals)
    assert caught.value.reason == reason


@pytest.mark.parametrize("decimals", [-1, 10])
def test_decimals_outside_the_meters_range_are_a_bug(decimals: int) -> None:
    with pytest.raises(InvariantError):
        scale_quantity("1", decimals=decimals)
    with pytest.raises(InvariantError):
        unscale_quantity(1, decimals=decimals)


def test_unscaling_is_exact_beyond_the_precision_of_the_default_context() -> None:
    # 38 digits, ten more than the default decimal context keeps.
    total = 12345678901234567890123456789012345678
    assert plain_decimal(unscale_quantity(total, decimals=9)) == (
        "12345678901234567890123456789.012345678"
    )
    assert unscale_quantity(-1500, decimals=3) == Decimal("-1.5")
    assert unscale_quantity(7, decimals=0) == Decimal(7)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-12, "-12"),
        (Decimal(100), "100"),
        (Decimal("1E+2"), "100"),
        (Decimal("1.500"), "1.5"),
        (Decimal("-0.00"), "0"),
        (Decimal("-0"), "0"),
        (Decimal("0E+3"), "0"),
        (Decimal("-0.10"), "-0.1"),
        (Decimal("1E-20"), "0.00000000000000000001"),
        (Decimal("3.0864175"), "3.0864175"),
        (Fraction(107), "107"),
        (Fraction(1, 8), "0.125"),
        (Fraction(-5, 2), "-2.5"),
        # 2^-20 is finite with 20 digits, so it is written whole.
        (Fraction(1, 2**20), "0.00000095367431640625"),
        (Fraction(1, 3), "0.333333333333333333"),
        (Fraction(2, 3), "0.666666666666666667"),
        (Fraction(-2, 3), "-0.666666666666666667"),
        (Fraction(1, 3 * 10**20), "0"),
        (Fraction(-1, 3 * 10**20), "0"),
    ],
)
def test_plain_digits_have_no_exponent_and_no_trailing_zeros(
    value: Decimal | Fraction | int, text: str
) -> None:
    assert plain_decimal(value) == text


def test_a_fraction_without_end_is_rounded_half_up_at_the_places_asked_for() -> None:
    assert plain_decimal(Fraction(1, 3), places=2) == "0.33"
    # 1/6 = 0.1666…: the third digit 6 rounds the second up.
    assert plain_decimal(Fraction(1, 6), places=2) == "0.17"
    assert plain_decimal(Fraction(2, 3), places=0) == "1"


def test_what_is_not_a_number_has_no_digits() -> None:
    with pytest.raises(ValidationError) as caught:
        plain_decimal(Decimal("NaN"))
    assert caught.value.reason == "NUMBER_NOT_FINITE"


@pytest.mark.parametrize(
    ("value", "decimals", "rounded"),
    [
        (Fraction(1, 2), 0, "1"),
        (Fraction(-1, 2), 0, "-1"),
        (Fraction(2, 3), 3, "0.667"),
        (Fraction(-2, 3), 3, "-0.667"),
        (Fraction(1, 3), 9, "0.333333333"),
        (Decimal("1.4449"), 2, "1.44"),
        (Decimal(7), 0, "7"),
    ],
)
def test_a_quantity_is_rounded_half_up_to_the_decimals_that_are_kept(
    value: Decimal | Fraction, decimals: int, rounded: str
) -> None:
    assert round_quantity(value, decimals=decimals) == Decimal(rounded)
