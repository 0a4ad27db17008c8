"""Quantities of usage: decimal texts on the wire, scaled integers in tables, exact in between.

A quantity is written as plain ASCII digits with at most one point: no sign, exponent, blank,
underscore, "NaN" or digits of other scripts. What is judged is the value: zeros before the first
digit and after the last fraction digit are accepted and do not count.
"""

import re
from decimal import Decimal
from fractions import Fraction
from typing import Final

from metering.errors import InvariantError, ValidationError

QUANTITY_DIGITS_MAX: Final = 18
"""Digits of a quantity in all: a scaled quantity then fits a signed 64-bit integer."""
QUANTITY_FRACTION_DIGITS_MAX: Final = 9
"""Digits after the point."""
QUANTITY_TEXT_LENGTH_MAX: Final = 64
"""Characters that are looked at: bounds the work that a hostile text can cause."""

_SCALED_LIMIT: Final = 10**QUANTITY_DIGITS_MAX
_POWERS: Final[tuple[int, ...]] = tuple(10**exponent for exponent in range(QUANTITY_DIGITS_MAX + 1))
_PLAIN: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")


def parse_quantity(text: str) -> Decimal:
    """Reads a quantity.

    Args:
        text: Plain decimal text, e.g. "1200" or "0.35"; 0 to 18 digits, at most 9 fractions.

    Raises:
        ValidationError: QUANTITY_MALFORMED, QUANTITY_NEGATIVE ("-0" too), QUANTITY_TOO_LARGE (more
            than 18 digits) or QUANTITY_TOO_PRECISE (more than 9 fraction digits).
    """
    # Nearly all quantities are short counts. isdigit() alone would let digits of other scripts in.
    if len(text) <= QUANTITY_DIGITS_MAX and text.isdigit() and text.isascii():
        return Decimal(text)
    whole, fraction = _split(text)
    return Decimal(f"{whole}.{fraction}" if fraction else whole)


def canonical_quantity(text: str) -> str:
    """Returns the one way to write this quantity: "1.50" becomes "1.5", "007" becomes "7".

    Raises:
        ValidationError: As `parse_quantity`.
    """
    if len(text) <= QUANTITY_DIGITS_MAX and text.isdigit() and text.isascii():
        return text if text[0] != "0" else text.lstrip("0") or "0"
    whole, fraction = _split(text)
    return f"{whole}.{fraction}" if fraction else whole


def scale_quantity(value: Decimal | str, *, decimals: int) -> int:
    """Returns the quantity as an integer of units of 10**-decimals: "1.5" with 3 is 1500.

    Args:
        value: The quantity; a text follows the rules of `parse_quantity`, a Decimal may be negative
            (an adjustment).
        decimals: Fraction digits that the meter keeps, 0 to 9.

    Raises:
        ValidationError: QUANTITY_TOO_PRECISE where it would have to be rounded, QUANTITY_TOO_LARGE
            where the result has more than 18 digits, and as `parse_quantity`.
    """
    power = _power(decimals)
    if isinstance(value, str):
        if len(value) <= QUANTITY_DIGITS_MAX and value.isdigit() and value.isascii():
            scaled = int(value) * power
        else:
            whole, fraction = _split(value)
            if len(fraction) > decimals:
                raise _too_precise(value, decimals=decimals)
            scaled = int(whole + fraction.ljust(decimals, "0"))
    else:
        scaled = _scale_decimal(value, decimals=decimals)
    if not -_SCALED_LIMIT < scaled < _SCALED_LIMIT:
        raise _too_large(str(value), decimals=decimals)
    return scaled


def unscale_quantity(scaled: int, *, decimals: int) -> Decimal:
    """Returns the quantity that a scaled integer stands for: 1500 with 3 is 1.500.

    Exact for a total of any size.

    Args:
        scaled: Units of 10**-decimals.
        decimals: Fraction digits that the meter keeps, 0 to 9.
    """
    _power(decimals)
    # From a text, because every arithmetic operation would round to its context's precision.
    return Decimal(scaled) if decimals == 0 else Decimal(f"{scaled}E-{decimals}")


def round_quantity(value: Decimal | Fraction, *, decimals: int) -> Decimal:
    """Returns the nearest quantity of so many decimals, half up, away from zero on negatives.

    Args:
        value: A finite number.
        decimals: Fraction digits to keep, 0 to 9.
    """
    exact = Fraction(value) * _power(decimals)
    scaled, rest = divmod(abs(exact.numerator), exact.denominator)
    if rest * 2 >= exact.denominator:
        scaled += 1
    return unscale_quantity(scaled if exact >= 0 else -scaled, decimals=decimals)


def plain_decimal(value: Decimal | Fraction | int, *, places: int = 18) -> str:
    """Returns plain digits without exponent or trailing zeros; "0" for zero.

    The value is written whole where it has finitely many digits; a fraction such as 1/3 is rounded
    half up, away from zero on negatives, at `places`.

    Args:
        value: A finite number.
        places: Fraction digits of a value without end, 0 or more.
    """
    if not isinstance(value, Decimal):  # Asked first: a question for Fraction takes much longer.
        return str(value) if isinstance(value, int) else _plain_fraction(value, places=places)
    if not value.is_finite():
        raise ValidationError(
            reason="NUMBER_NOT_FINITE", message=f"{value} is not a finite number; give a number"
        )
    # Not through normalize(): Decimal("100").normalize() prints 1E+2.
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", "0"} else text


def _split(text: str) -> tuple[str, str]:
    """Returns the whole digits and the fraction digits, both without idle zeros."""
    if len(text) > QUANTITY_TEXT_LENGTH_MAX and text.isascii() and text.isdigit():
        raise _too_large(text[:QUANTITY_TEXT_LENGTH_MAX] + "…", decimals=0)
    match = _PLAIN.fullmatch(text) if len(text) <= QUANTITY_TEXT_LENGTH_MAX else None
    if match is None:
        raise ValidationError(
            reason="QUANTITY_MALFORMED",
            message=f"{text[:QUANTITY_TEXT_LENGTH_MAX]!r} is not a quantity; write plain decimal "
            'digits, e.g. "1200" or "0.35"',
        )
    sign, whole, fraction = match.groups(default="")
    if sign:
        raise ValidationError(
            reason="QUANTITY_NEGATIVE",
            message=f"{text!r} is negative; usage is 0 or more, corrections have their own call",
        )
    whole = whole.lstrip("0") or "0"
    fraction = fraction.rstrip("0")
    if len(fraction) > QUANTITY_FRACTION_DIGITS_MAX:
        raise _too_precise(text, decimals=QUANTITY_FRACTION_DIGITS_MAX)
    if len(whole) + len(fraction) > QUANTITY_DIGITS_MAX + (whole == "0"):
        raise _too_large(text, decimals=0)
    return whole, fraction


def _scale_decimal(value: Decimal, *, decimals: int) -> int:
    if not value:
        return 0
    if not value.is_finite():
        raise ValidationError(
            reason="QUANTITY_MALFORMED", message=f"{value} is not a quantity; give a finite number"
        )
    # The magnitude is judged first: the ratio of 1E+999999 would fill the memory.
    magnitude = value.adjusted()
    if magnitude >= QUANTITY_DIGITS_MAX:
        raise _too_large(str(value), decimals=decimals)
    if magnitude < -decimals:
        raise _too_precise(str(value), decimals=decimals)
    numerator, denominator = value.as_integer_ratio()
    scaled, rest = divmod(numerator * _POWERS[decimals], denominator)
    if rest:
        raise _too_precise(str(value), decimals=decimals)
    return scaled


def _plain_fraction(value: Fraction, *, places: int) -> str:
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest == 1:
        places = max(twos, fives)
    ten: int = 10**places
    scaled, remainder = divmod(abs(value.numerator) * ten, value.denominator)
    if remainder * 2 >= value.denominator:
        scaled += 1
    digits = str(scaled).rjust(places + 1, "0")
    whole, fraction = digits[: len(digits) - places], digits[len(digits) - places :].rstrip("0")
    sign = "-" if value < 0 and scaled else ""
    return f"{sign}{whole}.{fraction}" if fraction else sign + whole


def _power(decimals: int) -> int:
    if 0 <= decimals <= QUANTITY_FRACTION_DIGITS_MAX:
        return _POWERS[decimals]
    raise InvariantError(
        reason="DECIMALS_OUT_OF_RANGE",
        message=f"decimals is {decimals}; a meter keeps 0 to {QUANTITY_FRACTION_DIGITS_MAX}",
    )


def _too_precise(text: str, *, decimals: int) -> ValidationError:
    return ValidationError(
        reason="QUANTITY_TOO_PRECISE",
        message=f"{text} has more than {decimals} fraction digits; round it before it is recorded, "
        "the product never does",
        metadata={"fraction_digits_max": str(decimals)},
    )


def _too_large(text: str, *, decimals: int) -> ValidationError:
    kept = f" when {decimals} fraction digits are kept" if decimals else ""
    return ValidationError(
        reason="QUANTITY_TOO_LARGE",
        message=f"{text} has more than {QUANTITY_DIGITS_MAX} digits{kept}; use a larger unit",
        metadata={"digits_max": str(QUANTITY_DIGITS_MAX)},
    )
