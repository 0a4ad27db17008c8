"""The `convert` modifier: usage in the meter's unit becomes the unit that is priced (R33).

Example: seconds to begun minutes, `{divide_by: "60", round: up}`: 61 seconds are 2 minutes. The
whole quantity of the segment is converted, or each event where the price is rated by event.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, Inexact
from enum import StrEnum
from fractions import Fraction
from typing import Final

from billing_server.domain.fields import FieldReader, choice, quantity
from metering.money import EXACT_CONTEXT, Exact
from metering.quantity import plain_decimal

_TWO: Final = 2


class ConversionRounding(StrEnum):
    """What becomes of a part of a converted unit."""

    NONE = "none"
    """It stays a part."""
    UP = "up"
    """It counts whole."""
    DOWN = "down"
    """It counts nothing."""
    HALF_UP = "half_up"
    """From a half on it counts whole."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """quantity ÷ divide_by, rounded to whole units or not at all."""

    divide_by: Decimal
    """Units of the meter in one converted unit, > 0."""
    rounding: ConversionRounding = ConversionRounding.NONE
    """What becomes of a part of a unit."""

    def convert(self, used: Exact) -> Exact:
        """Returns a quantity in converted units; one that is taken back undoes its like (R39)."""
        if self.rounding is ConversionRounding.NONE:
            return _divide(used, self.divide_by)
        ratio = abs(Fraction(used)) / Fraction(self.divide_by)
        whole, rest = divmod(ratio.numerator, ratio.denominator)
        match self.rounding:
            case ConversionRounding.UP:
                is_raised = rest > 0
            case ConversionRounding.HALF_UP:
                is_raised = rest * _TWO >= ratio.denominator
            case _:
                is_raised = False
        count = whole + is_raised
        return Decimal(-count if used < 0 else count)

    def to_fields(self) -> Mapping[str, object]:
        """Returns the fields as a catalog file writes them."""
        return {"divide_by": plain_decimal(self.divide_by), "round": str(self.rounding)}


def _divide(used: Exact, divisor: Decimal) -> Exact:
    if isinstance(used, Decimal):
        try:
            return EXACT_CONTEXT.divide(used, divisor)
        except Inexact:
            pass  # It has no end as a decimal: a third of a unit stays a third.
    return Fraction(used) / Fraction(divisor)


def read_conversion(fields: FieldReader) -> Conversion | None:
    """Reads the fields of `convert`; None where one is wrong, which is noted."""
    divide_by = fields.required("divide_by", quantity)
    rounding = fields.optional("round", choice(ConversionRounding), default=ConversionRounding.NONE)
    fields.finish()
    if divide_by is not None and divide_by == 0:
        problem = "a quantity cannot be divided by 0; write how many units make one"
        fields.note("divide_by", reason="DIVISOR_ZERO", problem=problem)
        return None
    return None if divide_by is None else Conversion(divide_by, rounding)
