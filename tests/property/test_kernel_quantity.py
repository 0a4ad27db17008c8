"""Properties of quantities, instants and ids: what is written is read back, order is kept."""

import os
import string
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metering.clock import format_instant, parse_instant
from metering.errors import ValidationError
from metering.ids import UuidV7Generator
from metering.quantity import (
    QUANTITY_DIGITS_MAX,
    QUANTITY_FRACTION_DIGITS_MAX,
    canonical_quantity,
    parse_quantity,
    plain_decimal,
    scale_quantity,
    unscale_quantity,
)

SCALED = st.integers(min_value=0, max_value=10**QUANTITY_DIGITS_MAX - 1)
DECIMALS = st.integers(min_value=0, max_value=QUANTITY_FRACTION_DIGITS_MAX)


@given(scaled=SCALED, decimals=DECIMALS)
def test_a_scaled_quantity_survives_the_way_to_text_and_back(scaled: int, decimals: int) -> None:
    quantity = unscale_quantity(scaled, decimals=decimals)
    text = plain_decimal(quantity)
    assert quantity == Fraction(scaled, 10**decimals)
    assert parse_quantity(text) == quantity
    assert canonical_quantity(text) == text
    assert scale_quantity(text, decimals=decimals) == scaled
    assert scale_quantity(quantity, decimals=decimals) == scaled
    assert scale_quantity(-quantity, decimals=decimals) == -scaled


@given(
    scaled=SCALED,
    decimals=DECIMALS,
    zeros_before=st.integers(min_value=0, max_value=20),
    zeros_after=st.integers(min_value=0, max_value=20),
)
def test_idle_zeros_change_neither_value_nor_canonical_text(
    scaled: int, decimals: int, zeros_before: int, zeros_after: int
) -> None:
    text = plain_decimal(unscale_quantity(scaled, decimals=decimals))
    point = "" if "." in text or not zeros_after else "."
    padded = "0" * zeros_before + text + point + "0" * (zeros_after if "." in text + point else 0)
    assert canonical_quantity(padded) == text
    assert parse_quantity(padded) == parse_quantity(text)


def is_plain(text: str) -> bool:
    """Says the rule in another way than the product: digits, perhaps a point and digits."""
    whole, point, fraction = text.partition(".")
    if not whole or bool(point) != bool(fraction) or set(whole + fraction) - set(string.digits):
        return False
    fraction_digits = len(fraction.rstrip("0"))
    return fraction_digits <= 9 and len(whole.lstrip("0")) + fraction_digits <= 18


@given(text=st.text(alphabet="0123456789.-+eE_ NaInf٣²\n", max_size=24) | st.text())
@example("0")
@example("1E+2")
def test_any_text_is_read_exactly_or_refused_as_a_validation_error(text: str) -> None:
    if not is_plain(text):
        with pytest.raises(ValidationError) as caught:
            parse_quantity(text)
        assert caught.value.reason.startswith("QUANTITY_")
        return
    value = parse_quantity(text)
    assert value == Decimal(text)
    assert 0 <= value < 10**QUANTITY_DIGITS_MAX
    assert canonical_quantity(text) == plain_decimal(value)


@given(value=st.decimals(allow_nan=False, allow_infinity=False, places=None))
def test_plain_digits_mean_the_same_number(value: Decimal) -> None:
    if abs(value.adjusted()) > 1000:
        value = Decimal(value.as_tuple()._replace(exponent=-5))
    text = plain_decimal(value)
    assert set(text) <= set("0123456789.-")
    assert Decimal(text) == value
    assert not ("." in text and text.endswith(("0", ".")))


@given(value=st.fractions(max_denominator=10**12), places=st.integers(min_value=0, max_value=30))
def test_a_fraction_is_written_whole_or_to_half_a_unit_of_its_last_place(
    value: Fraction, places: int
) -> None:
    written = Fraction(plain_decimal(value, places=places))
    is_finite = pow(10, 60, value.denominator) == 0
    assert written == value if is_finite else abs(written - value) * 2 <= Fraction(1, 10**places)


@given(instant=st.datetimes(min_value=datetime(1, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_an_instant_survives_the_way_to_text_and_back(instant: datetime) -> None:
    assert parse_instant(format_instant(instant)) == instant


@given(
    clock_readings=st.lists(st.integers(min_value=0, max_value=2**48 - 2), min_size=1, max_size=50)
)
def test_ids_rise_whatever_the_clock_reads(clock_readings: list[int]) -> None:
    readings = iter(clock_readings)
    generator = UuidV7Generator(now_ms=lambda: next(readings), random_bytes=os.urandom)
    made = [generator() for _ in clock_readings]
    assert made == sorted(set(made))
    assert all(UUID(identifier).version == 7 for identifier in made)
    assert [UUID(identifier).int >> 80 for identifier in made] == [
        max(clock_readings[: index + 1]) for index in range(len(made))
    ]
