"""Money: minor units once posted, exact amounts while rating, one named place of rounding.

Three kinds that never mix: `Money` (integer minor units: posted, invoiced, taxed, paid),
`RatedAmount` (exact, unrounded: rating and live charges) and a unit price (a plain `Decimal` as an
admin typed it). No float enters.
"""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import (
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
    localcontext,
)
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import Final

from iso4217 import Currency

from metering.errors import InvariantError, ValidationError

Exact = Decimal | Fraction
"""An amount or quantity without rounding error."""

EXACT_PRECISION: Final = 60
"""Significant digits: 36 of a price times 18 of a quantity, and room to add."""
EXACT_CONTEXT: Final = Context(
    prec=EXACT_PRECISION,
    traps=[InvalidOperation, DivisionByZero, Overflow, Inexact, FloatOperation],
)
"""Decimal arithmetic that raises instead of rounding; use it through `exact_context`."""

PRICE_WHOLE_DIGITS_MAX: Final = 18
PRICE_FRACTION_DIGITS_MAX: Final = 18
"""Fraction digits of a price: tokens at 0.1 dollar a million need 7 (R22 asks for 12)."""
MONEY_DIGITS_MAX: Final = 18
"""Digits of an amount in minor units: fits a signed 64-bit column."""

_TEXT_LENGTH_MAX: Final = 64
_PLAIN: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")
_HALF: Final = 2


class RoundingMode(StrEnum):
    """What happens to an amount that lies exactly between two minor units (R39)."""

    HALF_UP = "half_up"
    """Away from zero: 8.5 becomes 9, −8.5 becomes −9. The default."""
    HALF_EVEN = "half_even"
    """To the even neighbour: 8.5 becomes 8, 9.5 becomes 10."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount that has been rounded to a currency's minor unit."""

    amount_minor: int
    """Minor units, e.g. cents; may be negative."""
    currency: str
    """ISO 4217 code, e.g. "USD"."""

    def __post_init__(self) -> None:
        if type(self.amount_minor) is not int:
            raise InvariantError(
                reason="MONEY_NOT_INTEGER",
                message=f"{self.amount_minor!r} is not an integer of minor units",
            )
        minor_unit_digits(self.currency)

    @classmethod
    def zero(cls, currency: str) -> "Money":
        """Returns nothing, in this currency."""
        return cls(0, currency)

    @classmethod
    def from_decimal_string(cls, text: str, currency: str) -> "Money":
        """Reads an amount in major units, e.g. "107.00"; a sign "-" is allowed.

        Raises:
            ValidationError: MONEY_MALFORMED, MONEY_TOO_PRECISE (more fraction digits than the
                currency has), MONEY_TOO_LARGE or CURRENCY_UNKNOWN.
        """
        digits = minor_unit_digits(currency)
        match = _PLAIN.fullmatch(text) if len(text) <= _TEXT_LENGTH_MAX else None
        if match is None:
            raise ValidationError(
                reason="MONEY_MALFORMED",
                message=f"{text[:_TEXT_LENGTH_MAX]!r} is not an amount; write it as a decimal "
                'string, e.g. "107.00"',
            )
        sign, whole, fraction = match.groups(default="")
        if len(fraction) > digits:
            raise ValidationError(
                reason="MONEY_TOO_PRECISE",
                message=f"{text} has more than the {digits} fraction digits of {currency}",
            )
        amount_minor = int(whole + fraction.ljust(digits, "0"))
        if amount_minor >= 10**MONEY_DIGITS_MAX:
            raise ValidationError(
                reason="MONEY_TOO_LARGE",
                message=f"{text} {currency} has more than {MONEY_DIGITS_MAX} digits",
            )
        return cls(-amount_minor if sign else amount_minor, currency)

    def decimal_string(self) -> str:
        """Returns the amount in major units with the currency's digits: "107.00", "-0.05"."""
        digits = minor_unit_digits(self.currency)
        sign = "-" if self.amount_minor < 0 else ""
        if digits == 0:
            return str(self.amount_minor)
        text = str(abs(self.amount_minor)).rjust(digits + 1, "0")
        return f"{sign}{text[:-digits]}.{text[-digits:]}"

    def __add__(self, other: "Money") -> "Money":
        self._require_same_currency(other)
        return Money(self.amount_minor + other.amount_minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._require_same_currency(other)
        return Money(self.amount_minor - other.amount_minor, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount_minor, self.currency)

    def _require_same_currency(self, other: "Money") -> None:
        if other.currency != self.currency:
            raise ValidationError(
                reason="CURRENCY_MISMATCH",
                message=f"{self.currency} and {other.currency} cannot be added; convert first",
            )


@dataclass(frozen=True, slots=True)
class RatedAmount:
    """An exact amount in major units, before rounding."""

    amount: Exact
    """Major units, e.g. dollars; may be negative and have any number of digits."""
    currency: str
    """ISO 4217 code."""


def exact_context() -> AbstractContextManager[Context]:
    """Returns a `with` block in which decimal arithmetic is exact or raises."""
    return localcontext(EXACT_CONTEXT)


@lru_cache(maxsize=512)
def minor_unit_digits(currency: str) -> int:
    """Returns the fraction digits of a currency by ISO 4217: USD 2, JPY 0, KWD 3, CLF 4 (R40).

    Raises:
        ValidationError: CURRENCY_UNKNOWN; also for codes without a minor unit such as gold (XAU).
    """
    try:
        exponent = Currency(currency).exponent
    except ValueError:
        exponent = None
    if exponent is None:
        raise ValidationError(
            reason="CURRENCY_UNKNOWN",
            message=f"{currency!r} is not a currency; give an ISO 4217 code in capitals, e.g. USD",
        )
    return int(exponent)


def round_line(amount: RatedAmount, *, mode: RoundingMode = RoundingMode.HALF_UP) -> Money:
    """Rounds the exact amount of one invoice line to minor units: the one place of rounding (R41).

    Args:
        amount: The exact amount.
        mode: What happens to an exact half; stored on the invoice.
    """
    digits = minor_unit_digits(amount.currency)
    return Money(round_to_minor(amount.amount, digits=digits, mode=mode), amount.currency)


def round_to_minor(
    amount: Exact | int, *, digits: int, mode: RoundingMode = RoundingMode.HALF_UP
) -> int:
    """Returns the amount in minor units, rounded once from its exact value (R39).

    Args:
        amount: Major units, finite.
        digits: Fraction digits of the currency, 0 to 4.
        mode: What happens to an exact half.
    """
    # The ratio is exact for every size; a decimal context would round first at its precision.
    numerator, denominator = amount.as_integer_ratio()
    minor_per_major: int = 10**digits
    rounded, remainder = divmod(abs(numerator) * minor_per_major, denominator)
    twice = remainder * _HALF
    if twice > denominator or (
        twice == denominator and (mode is RoundingMode.HALF_UP or rounded % _HALF)
    ):
        rounded += 1
    return -rounded if numerator < 0 else rounded


def allocate(total: Money, *, weights: Sequence[int | Exact]) -> tuple[Money, ...]:
    """Splits an amount by weight so that the parts add up to it exactly (R41).

    Each part is its share cut to minor units; what is left goes, one unit each, to the parts that
    lost most, the earlier one first where they lost the same (largest remainder).

    Args:
        total: What to split; may be negative.
        weights: One per part, 0 or more, not all 0 unless the total is 0.

    Raises:
        ValidationError: ALLOCATION_WEIGHTS_INVALID.
    """
    exact_weights = [_weight(weight) for weight in weights]
    weight_sum = sum(exact_weights, Fraction(0))
    if weight_sum == 0:
        if total.amount_minor == 0:
            return tuple(total for _ in exact_weights)
        raise _weights_invalid("they add up to 0, so there is nobody to give the amount to")
    unit_count = abs(total.amount_minor)
    shares = [unit_count * weight / weight_sum for weight in exact_weights]
    parts = [share.numerator // share.denominator for share in shares]
    by_loss = sorted(range(len(parts)), key=lambda index: parts[index] - shares[index])
    for index in by_loss[: unit_count - sum(parts)]:
        parts[index] += 1
    sign = -1 if total.amount_minor < 0 else 1
    return tuple(Money(sign * part, total.currency) for part in parts)


def parse_price(text: str) -> Decimal:
    """Reads a unit price or an amount of a catalog, in major units (R22).

    Args:
        text: Plain decimal text, 0 or more, e.g. "0.0000025"; at most 18 digits before and 18
            after the point.

    Raises:
        ValidationError: PRICE_MALFORMED, PRICE_NEGATIVE, PRICE_TOO_LARGE or PRICE_TOO_PRECISE.
    """
    match = _PLAIN.fullmatch(text) if len(text) <= _TEXT_LENGTH_MAX else None
    if match is None:
        raise ValidationError(
            reason="PRICE_MALFORMED",
            message=f"{text[:_TEXT_LENGTH_MAX]!r} is not a price; write it as a decimal string, "
            'e.g. "0.0000025"',
        )
    sign, whole, fraction = match.groups(default="")
    if sign:
        raise ValidationError(
            reason="PRICE_NEGATIVE", message=f"{text} is negative; a price is 0 or more"
        )
    if len(whole.lstrip("0")) > PRICE_WHOLE_DIGITS_MAX:
        raise ValidationError(
            reason="PRICE_TOO_LARGE",
            message=f"{text} has more than {PRICE_WHOLE_DIGITS_MAX} digits before the point",
        )
    if len(fraction.rstrip("0")) > PRICE_FRACTION_DIGITS_MAX:
        raise ValidationError(
            reason="PRICE_TOO_PRECISE",
            message=f"{text} has more than {PRICE_FRACTION_DIGITS_MAX} digits after the point",
        )
    return Decimal(text)


def _weight(weight: int | Exact) -> Fraction:
    if not isinstance(weight, int | Decimal | Fraction):
        raise _weights_invalid(f"{weight!r} is not an exact number")
    if isinstance(weight, Decimal) and not weight.is_finite():
        raise _weights_invalid(f"{weight} is not finite")
    if weight < 0:
        raise _weights_invalid(f"{weight} is negative")
    return Fraction(weight)


def _weights_invalid(why: str) -> ValidationError:
    return ValidationError(
        reason="ALLOCATION_WEIGHTS_INVALID", message=f"the weights cannot be used: {why}"
    )
