"""Tests of money: ISO minor units, one rounding, sums that add up."""

from decimal import ROUND_DOWN, Decimal, Inexact, localcontext
from fractions import Fraction

import pytest

from metering.errors import InvariantError, MeteringError, ValidationError
from metering.money import (
    Money,
    RatedAmount,
    RoundingMode,
    allocate,
    exact_context,
    minor_unit_digits,
    parse_price,
    round_line,
    round_to_minor,
)


@pytest.mark.parametrize(
    ("amount", "digits", "half_up", "half_even"),
    [
        ("8.5", 0, 9, 8),
        ("-8.5", 0, -9, -8),
        ("9.5", 0, 10, 10),
        ("2.665", 2, 267, 266),
        ("-2.665", 2, -267, -266),
        ("2.66500000000000000000000001", 2, 267, 267),
        ("2.66499999999999999999999999", 2, 266, 266),
        ("0", 2, 0, 0),
        ("-0.004", 2, 0, 0),
        ("1E+3", 2, 100_000, 100_000),
    ],
)
def test_r39_half_goes_away_from_zero_or_to_the_even_neighbour(
    amount: str, digits: int, half_up: int, half_even: int
) -> None:
    for value in (Decimal(amount), Fraction(amount)):
        assert round_to_minor(value, digits=digits) == half_up
        assert round_to_minor(value, digits=digits, mode=RoundingMode.HALF_EVEN) == half_even


def test_r39_rounding_ignores_whatever_decimal_context_is_active() -> None:
    with localcontext() as context:
        context.prec = 3
        context.rounding = ROUND_DOWN
        assert round_to_minor(Decimal("123456789.125"), digits=2) == 12_345_678_913


@pytest.mark.parametrize(
    ("currency", "digits"),
    [
        ("JPY", 0),
        ("KRW", 0),
        ("CLP", 0),
        ("VND", 0),
        ("USD", 2),
        ("EUR", 2),
        ("KWD", 3),
        ("CLF", 4),
    ],
)
def test_r40_minor_units_follow_iso_4217(currency: str, digits: int) -> None:
    assert minor_unit_digits(currency) == digits


def test_r40_a_thousand_and_a_half_yen_are_1001() -> None:
    assert round_line(RatedAmount(Decimal("1000.5"), "JPY")) == Money(1001, "JPY")


@pytest.mark.parametrize("currency", ["usd", "US", "XAU", "XTS", "", "EURO", "DEM"])
def test_a_code_without_a_minor_unit_in_use_is_refused(currency: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Money.zero(currency)
    assert caught.value.reason == "CURRENCY_UNKNOWN"


def test_r22_a_small_token_price_is_rounded_once_from_its_exact_product() -> None:
    # 1,234,567 × 0.0000025 = 3.0864175
    with exact_context():
        amount = Decimal(1_234_567) * parse_price("0.0000025")
    assert amount == Decimal("3.0864175")
    assert round_line(RatedAmount(amount, "USD")) == Money(309, "USD")


def test_the_exact_context_raises_where_it_would_round() -> None:
    with exact_context(), pytest.raises(Inexact):
        Decimal(1) / Decimal(3)


def test_the_exact_context_holds_the_longest_price_times_the_longest_quantity() -> None:
    # (10^18 − 10^-18) × (10^18 − 1): 36 and 18 digits.
    price, quantity = parse_price("9" * 18 + "." + "9" * 18), Decimal(10**18 - 1)
    with exact_context():
        product = price * quantity
    assert Fraction(product) == Fraction(10**36 - 1, 10**18) * (10**18 - 1)


def test_money_of_one_currency_adds_subtracts_and_changes_sign() -> None:
    assert Money(150, "USD") + Money(-50, "USD") == Money(100, "USD")
    assert Money(150, "USD") - Money(200, "USD") == Money(-50, "USD")
    assert -Money(150, "USD") == Money(-150, "USD")
    assert sum([Money(1, "EUR"), Money(2, "EUR")], Money.zero("EUR")) == Money(3, "EUR")


def test_money_of_two_currencies_does_not_add() -> None:
    with pytest.raises(ValidationError) as caught:
        Money(1, "USD") + Money(1, "EUR")
    assert caught.value.reason == "CURRENCY_MISMATCH"
    with pytest.raises(ValidationError):
        Money(1, "USD") - Money(1, "EUR")


def test_money_counts_whole_minor_units_only() -> None:
    with pytest.raises(InvariantError):
        Money(1.5, "USD")  # type: ignore[arg-type]
    with pytest.raises(InvariantError):
        Money(True, "USD")


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(10_700, "USD"), "107.00"),
        (Money(5, "USD"), "0.05"),
        (Money(-5, "USD"), "-0.05"),
        (Money(0, "USD"), "0.00"),
        (Money(1001, "JPY"), "1001"),
        (Money(-1001, "JPY"), "-1001"),
        (Money(1, "KWD"), "0.001"),
        (Money(12345, "CLF"), "1.2345"),
    ],
)
def test_money_is_written_with_the_digits_of_its_currency_and_read_back(
    money: Money, text: str
) -> None:
    assert money.decimal_string() == text
    assert Money.from_decimal_string(text, money.currency) == money


@pytest.mark.parametrize(
    ("text", "currency", "reason"),
    [
        ("1.005", "USD", "MONEY_TOO_PRECISE"),
        ("1.0", "JPY", "MONEY_TOO_PRECISE"),
        ("1e2", "USD", "MONEY_MALFORMED"),
        ("", "USD", "MONEY_MALFORMED"),
        ("+1", "USD", "MONEY_MALFORMED"),
        ("NaN", "USD", "MONEY_MALFORMED"),
        ("1" * 65, "USD", "MONEY_MALFORMED"),
        ("1" + "0" * 16, "USD", "MONEY_TOO_LARGE"),
        ("1", "ABC", "CURRENCY_UNKNOWN"),
    ],
)
def test_an_amount_that_is_not_whole_minor_units_is_refused(
    text: str, currency: str, reason: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Money.from_decimal_string(text, currency)
    assert caught.value.reason == reason


def test_an_amount_may_have_fewer_digits_than_its_currency() -> None:
    assert Money.from_decimal_string("107", "USD") == Money(10_700, "USD")
    assert Money.from_decimal_string("-107.5", "USD") == Money(-10_750, "USD")


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        # 100 / 3 = 33.33 each; the unit that is left goes to the earliest of equals.
        (100, [1, 1, 1], [34, 33, 33]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        # 10 × 0.7 = 7, 10 × 0.25 = 2.5, 10 × 0.05 = 0.5: equal losses, the earlier first.
        (10, [Decimal("0.7"), Decimal("0.25"), Decimal("0.05")], [7, 3, 0]),
        # 5 × 1/6 = 0.83, 5 × 2/6 = 1.67, 5 × 3/6 = 2.5: 0, 1, 2 and two left over.
        (5, [1, 2, 3], [1, 2, 2]),
        (7, [0, Fraction(1, 3), 0], [0, 7, 0]),
        (0, [1, 2], [0, 0]),
        (0, [0, 0], [0, 0]),
        (0, [], []),
    ],
)
def test_r41_the_largest_remainders_take_what_is_left(
    total: int, weights: list[int | Decimal | Fraction], parts: list[int]
) -> None:
    split = allocate(Money(total, "USD"), weights=weights)
    assert [part.amount_minor for part in split] == parts


def test_r41_81_lines_lose_no_cent() -> None:
    # 81 × floor(10000 / 81) = 81 × 123 = 9963: 37 cents are left for the first 37 lines.
    parts = allocate(Money(10_000, "USD"), weights=[1] * 81)
    assert sum(part.amount_minor for part in parts) == 10_000
    assert [part.amount_minor for part in parts] == [124] * 37 + [123] * 44


@pytest.mark.parametrize(
    "weights",
    [
        *([], [0, 0], [1, -1, 2], [1, 0.5]),
        *([1, Decimal("NaN")], [Decimal("sNaN")], [1, Decimal("Infinity")]),
    ],
)
def test_weights_that_cannot_split_an_amount_are_refused(weights: list[int]) -> None:
    with pytest.raises(ValidationError) as caught:
        allocate(Money(1, "USD"), weights=weights)
    assert caught.value.reason == "ALLOCATION_WEIGHTS_INVALID"


@pytest.mark.parametrize(
    "text", ["0", "20.00", "0.0000025", "0.000000000001", "9" * 18 + "." + "9" * 18, "007.50"]
)
def test_a_price_is_read_as_it_was_typed(text: str) -> None:
    assert parse_price(text) == Decimal(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "PRICE_MALFORMED"),
        ("1e-6", "PRICE_MALFORMED"),
        (".5", "PRICE_MALFORMED"),
        ("$5", "PRICE_MALFORMED"),
        ("NaN", "PRICE_MALFORMED"),
        ("٥", "PRICE_MALFORMED"),
        ("0" * 65, "PRICE_MALFORMED"),
        ("-1", "PRICE_NEGATIVE"),
        ("1" + "0" * 18, "PRICE_TOO_LARGE"),
        ("0." + "0" * 18 + "1", "PRICE_TOO_PRECISE"),
    ],
)
def test_a_text_that_is_no_price_is_refused(text: str, reason: str) -> None:
    with pytest.raises(MeteringError) as caught:
        parse_price(text)
    assert caught.value.reason == reason
