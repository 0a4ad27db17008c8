"""Rates: shares of an amount of money, written as fractions."""

from decimal import Decimal
from typing import Final

from billing_server.domain.document import Node
from billing_server.domain.fields import FieldMistake, price
from metering.money import EXACT_CONTEXT
from metering.quantity import plain_decimal

_WHOLE: Final = Decimal(1)
_HUNDRED: Final = Decimal(100)


def rate_fraction(node: Node) -> Decimal:
    """Reads a rate from 0 to 1: "0.019" is 1.9 %.

    More than the whole amount is nearly always a percentage that was meant as one.
    """
    value = price(node)
    if value > _WHOLE:
        percent = plain_decimal(EXACT_CONTEXT.divide(value, _HUNDRED))
        written = plain_decimal(value)
        problem = (
            f"{written} would be {plain_decimal(EXACT_CONTEXT.multiply(value, _HUNDRED))} %; rates "
            f'are fractions from 0 to 1, so write "{percent}" for {written} %'
        )
        raise FieldMistake("RATE_ABOVE_ONE", problem)
    return value
