"""Arithmetic that never rounds: decimals while they end, fractions where one came in.

A quantity is a `Fraction` where it was divided (an average, a conversion by 3); then so is its
amount. So is what has more digits than `EXACT_CONTEXT` keeps. Everything else stays `Decimal`,
which is several times quicker.
"""

from decimal import Decimal, Inexact
from fractions import Fraction

from metering.money import EXACT_CONTEXT, Exact
from metering.quantity import plain_decimal


def exact_text(value: Exact) -> str:
    """Returns a number as text that `exact_from_text` gives back: `1.5`, a fraction as `1/3`."""
    if isinstance(value, Decimal):
        return plain_decimal(value)
    return f"{value.numerator}/{value.denominator}"


def exact_from_text(text: str) -> Exact:
    """Returns the number that `exact_text` wrote."""
    return Fraction(text) if "/" in text else Decimal(text)


def add(first: Exact, second: Exact) -> Exact:
    """Returns first + second."""
    if isinstance(first, Decimal) and isinstance(second, Decimal):
        try:
            return EXACT_CONTEXT.add(first, second)
        except Inexact:
            pass  # More digits than a decimal keeps.
    return Fraction(first) + Fraction(second)


def subtract(first: Exact, second: Exact) -> Exact:
    """Returns first − second."""
    if isinstance(first, Decimal) and isinstance(second, Decimal):
        try:
            return EXACT_CONTEXT.subtract(first, second)
        except Inexact:
            pass  # More digits than a decimal keeps.
    return Fraction(first) - Fraction(second)


def multiply(first: Exact, second: Exact) -> Exact:
    """Returns first × second."""
    if isinstance(first, Decimal) and isinstance(second, Decimal):
        try:
            return EXACT_CONTEXT.multiply(first, second)
        except Inexact:
            pass  # More digits than a decimal keeps.
    return Fraction(first) * Fraction(second)


def multiply_add(factor: Exact, times: Exact, plus: Exact) -> Exact:
    """Returns factor × times + plus."""
    if isinstance(factor, Decimal) and isinstance(times, Decimal) and isinstance(plus, Decimal):
        try:
            return EXACT_CONTEXT.fma(factor, times, plus)
        except Inexact:
            pass  # More digits than a decimal keeps.
    return Fraction(factor) * Fraction(times) + Fraction(plus)
