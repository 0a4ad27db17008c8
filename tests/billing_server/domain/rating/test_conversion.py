"""Converting the quantity before it is priced."""

from decimal import Decimal
from fractions import Fraction

import pytest

from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes
from billing_server.domain.rating.conversion import (
    Conversion,
    ConversionRounding,
    read_conversion,
)


@pytest.mark.parametrize(
    ("rounding", "converted"),
    [
        (ConversionRounding.UP, [0, 1, 1, 2, 2, 2]),
        (ConversionRounding.DOWN, [0, 0, 1, 1, 1, 2]),
        (ConversionRounding.HALF_UP, [0, 0, 1, 1, 2, 2]),
    ],
)
def test_a_part_of_a_unit_counts_as_the_rounding_says(
    rounding: ConversionRounding, converted: list[int]
) -> None:
    minutes = Conversion(Decimal(60), rounding)
    seconds = ["0", "29.999", "60", "61", "90", "120"]
    assert [minutes.convert(Decimal(value)) for value in seconds] == converted


@pytest.mark.parametrize("rounding", list(ConversionRounding))
def test_r39_what_is_taken_back_undoes_the_same_quantity(rounding: ConversionRounding) -> None:
    """An adjustment of -90 seconds is -2 begun minutes as 90 seconds are 2, and -1 full one."""
    minutes = Conversion(Decimal(60), rounding)
    for seconds in (Decimal("29.999"), Decimal(60), Decimal(90), Fraction(200, 3)):
        assert minutes.convert(-seconds) == -minutes.convert(seconds)


def test_unrounded_it_stays_exact_with_or_without_an_end() -> None:
    assert Conversion(Decimal(1000)).convert(Decimal(1500)) == Decimal("1.5")
    third = Conversion(Decimal(60)).convert(Decimal(20))
    assert third == Fraction(1, 3)
    assert Conversion(Decimal("0.5")).convert(Fraction(1, 3)) == Fraction(2, 3)


def read(fields: dict[str, object]) -> tuple[Conversion | None, list[tuple[str, str]]]:
    mistakes = Mistakes("test")
    reader = FieldReader(node_from_plain(fields), path="convert", mistakes=mistakes)
    return read_conversion(reader), [(each.field, each.reason) for each in mistakes.violations]


def test_it_is_read_and_written_in_its_canonical_form() -> None:
    found, refusals = read({"divide_by": "1000.0"})
    assert refusals == []
    assert found is not None
    assert found.to_fields() == {"divide_by": "1000", "round": "none"}


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({}, "convert.divide_by", "FIELD_MISSING"),
        ({"divide_by": "0"}, "convert.divide_by", "DIVISOR_ZERO"),
        ({"divide_by": "60", "round": "half_even"}, "convert.round", "CHOICE_UNKNOWN"),
        ({"divide_by": "60", "multiply_by": "2"}, "convert.multiply_by", "FIELD_UNKNOWN"),
    ],
)
def test_a_wrong_conversion_is_refused_by_its_field(
    fields: dict[str, object], field: str, reason: str
) -> None:
    assert read(fields)[1] == [(field, reason)]
