"""Properties of money: one exact rounding, and parts that always add up to the whole."""

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from metering.money import Money, RoundingMode, allocate, minor_unit_digits, round_to_minor

DIGITS = st.integers(min_value=0, max_value=4)
AMOUNTS = st.decimals(
    min_value=Decimal(-(10**15)), max_value=Decimal(10**15), places=12
) | st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=10**9)
WEIGHTS = st.lists(
    st.integers(min_value=0, max_value=10**12)
    | st.fractions(min_value=0, max_value=100, max_denominator=10**6),
    min_size=1,
    max_size=40,
).filter(any)
MINOR = st.integers(min_value=-(10**15), max_value=10**15)
# One oracle beside the product: the decimal module with room for every digit.
ROOMY = Context(prec=200)


@given(amount=st.decimals(min_value=-(10**12), max_value=10**12, places=14), digits=DIGITS)
def test_r39_rounding_agrees_with_decimal_of_unlimited_precision(
    amount: Decimal, digits: int
) -> None:
    unit = Decimal(1).scaleb(-digits)
    for mode, rounding in (
        (RoundingMode.HALF_UP, ROUND_HALF_UP),
        (RoundingMode.HALF_EVEN, ROUND_HALF_EVEN),
    ):
        expected = amount.quantize(unit, rounding=rounding, context=ROOMY)
        assert round_to_minor(amount, digits=digits, mode=mode) == expected * 10**digits


@given(amount=AMOUNTS, digits=DIGITS)
def test_r39_rounding_moves_by_half_a_unit_at_most_and_alike_on_both_sides_of_zero(
    amount: Decimal | Fraction, digits: int
) -> None:
    for mode in RoundingMode:
        rounded = round_to_minor(amount, digits=digits, mode=mode)
        assert abs(rounded - Fraction(amount) * 10**digits) * 2 <= 1
        assert round_to_minor(-Fraction(amount), digits=digits, mode=mode) == -rounded


@given(lower=AMOUNTS, upper=AMOUNTS, digits=DIGITS)
def test_rounding_keeps_the_order(
    lower: Decimal | Fraction, upper: Decimal | Fraction, digits: int
) -> None:
    lower, upper = sorted((Fraction(lower), Fraction(upper)))
    assert round_to_minor(lower, digits=digits) <= round_to_minor(upper, digits=digits)


@given(amount_minor=MINOR, weights=WEIGHTS)
def test_r41_parts_add_up_and_each_is_within_one_unit_of_its_share(
    amount_minor: int, weights: list[int | Fraction]
) -> None:
    parts = allocate(Money(amount_minor, "USD"), weights=weights)
    assert len(parts) == len(weights)
    assert sum(part.amount_minor for part in parts) == amount_minor
    weight_sum = sum(map(Fraction, weights))
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part.amount_minor - amount_minor * Fraction(weight) / weight_sum) < 1


@given(amount_minor=MINOR, weights=WEIGHTS, factor=st.integers(min_value=1, max_value=1000))
def test_r41_only_the_ratio_of_the_weights_counts(
    amount_minor: int, weights: list[int | Fraction], factor: int
) -> None:
    total = Money(amount_minor, "EUR")
    scaled = [weight * factor for weight in weights]
    assert allocate(total, weights=weights) == allocate(total, weights=scaled)
    assert allocate(-total, weights=weights) == tuple(
        -part for part in allocate(total, weights=weights)
    )


@given(amount_minor=MINOR, currency=st.sampled_from(["USD", "JPY", "KWD", "CLF", "EUR"]))
def test_r40_money_survives_the_way_to_text_and_back(amount_minor: int, currency: str) -> None:
    money = Money(amount_minor, currency)
    text = money.decimal_string()
    assert Money.from_decimal_string(text, currency) == money
    assert Fraction(text) == Fraction(amount_minor, 10 ** minor_unit_digits(currency))


@given(first=MINOR, second=MINOR, third=MINOR)
def test_adding_money_is_adding_minor_units(first: int, second: int, third: int) -> None:
    one, two, three = (Money(amount, "USD") for amount in (first, second, third))
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one
    assert one - one == Money.zero("USD")
    assert one - two == one + -two
