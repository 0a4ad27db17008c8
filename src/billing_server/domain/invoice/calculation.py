"""An invoice line's arithmetic as sentences that a finance person can follow with a calculator.

They are made from the line as it is shown and stored, so that invoices of any age can be explained.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from billing_server.domain.invoice.model import USAGE_KINDS
from billing_server.domain.rating.price_model import StepKind
from billing_server.domain.rating.step_text import step_text
from metering.quantity import plain_decimal, round_quantity

Json = Mapping[str, Any]

_BARE_KINDS: Final = frozenset({StepKind.CONVERSION, StepKind.INCLUDED})
"""Steps before the model, which make no amount."""
_QUANTITY_PLACES: Final = 9
"""Digits after the point that a quantity may have."""
_FEE_PLACES: Final = 9
"""Digits after the point of a fee that is told from its share."""
_NUMBER: Final = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?(?![\w.-])")


def calculation_of(line: Json, *, currency: str) -> tuple[str, ...]:
    """Returns how a line's amount came about, one sentence a step, in the order of the steps.

    Args:
        line: in the JSON of the contract.
        currency: ISO 4217 code of the invoice.
    """
    steps = [readable_numbers(step_text(step)) for step in line["steps"]]
    if line["kind"] not in USAGE_KINDS:
        sentences = [*_fee_sentences(line), *steps]
    else:
        line = whole_of_part(line) or line
        # What is included is counted in converted units (R33).
        first = sum(step.get("kind") in _BARE_KINDS for step in line["steps"])
        sentences = [_used(line), *steps[:first], *_included(line), *steps[first:]]
    share = line.get("proration")
    if share:
        sentences.append(f"share: {share['numerator']}/{share['denominator']} of the whole period")
    sentences.append(_rounding_sentence(line, currency=currency))
    return tuple(sentences)


def whole_of_part(line: Json) -> Json | None:
    """Returns a group's line with what all groups used, included and were charged for together.

    The steps of such a line are those of the whole, and the last takes the others' part off. None
    for any other line, and where the whole cannot be told from the part.
    """
    steps = [step for step in line["steps"] if step.get("kind") == StepKind.GROUP]
    if line["kind"] != "usage" or not steps or steps[0]["to"] is None:
        return None
    weight = Fraction(steps[0]["from"]) / Fraction(steps[0]["to"])
    included, billable = (
        round_quantity(Fraction(line[name]) / weight, decimals=_QUANTITY_PLACES)
        for name in ("included_quantity", "billable_quantity")
    )
    whole = {"included_quantity": included, "billable_quantity": billable}
    told = {name: plain_decimal(quantity) for name, quantity in whole.items()}
    conversions = [
        step["from"] for step in line["steps"] if step.get("kind") == StepKind.CONVERSION
    ]
    return {**line, **told, "used_by_all": [*conversions, plain_decimal(included + billable)][0]}


def readable(number: str) -> str:
    """Returns a plain decimal with its thousands set apart: `1500000.25` as `1,500,000.25`."""
    sign = "−" if number.startswith("-") else ""
    whole, point, fraction = number.removeprefix("-").partition(".")
    return f"{sign}{int(whole):,}{point}{fraction}"


def readable_numbers(sentence: str) -> str:
    """Returns a sentence with the thousands of its numbers set apart."""
    return _NUMBER.sub(lambda match: readable(match[0]), sentence)


def _used(line: Json) -> str:
    unit = line["unit"]
    used = f"used: {readable(line['quantity'])} {unit}"
    group = " ".join(f"{key}={value}" for key, value in line.get("group", {}).items())
    told = f"{used} of {group}" if group else used
    return f"{told}, {readable(line['used_by_all'])} by all" if "used_by_all" in line else told


def _included(line: Json) -> list[str]:
    if not Decimal(line["included_quantity"]):
        return []
    whose = " for all" if "used_by_all" in line else ""
    return [
        f"included{whose}: {readable(line['included_quantity'])}, which leaves "
        f"{readable(line['billable_quantity'])} to charge"
    ]


def _fee_sentences(line: Json) -> list[str]:
    quantity = fee_quantity(line)
    return [] if quantity is None else [quantity]


def fee_quantity(line: Json) -> str | None:
    """Returns how often a fee was charged, as `4 × 25 = 100`; None where it was once and whole.

    In a short period that is the fee of a whole one, of which the share comes after.
    """
    quantity, share = Decimal(line["quantity"]), line.get("proration")
    if not quantity or (quantity == 1 and not share):
        return None
    named, exact = readable(line["quantity"]), line["amount_exact"]
    whole = _whole_amount(exact, share=share) if share else exact
    if whole is None:
        return named
    each = plain_decimal(Fraction(whole) / Fraction(quantity))
    return f"{named} × {readable(each)} = {readable(whole)}"


def _whole_amount(exact: str, *, share: Json) -> str | None:
    """Returns the amount of which a share is shown with 18 places; None where none is short."""
    part = Fraction(share["numerator"], share["denominator"])
    if not part:
        return None
    whole = round_quantity(Fraction(exact) / part, decimals=_FEE_PLACES)
    return plain_decimal(whole) if plain_decimal(Fraction(whole) * part) == exact else None


def _rounding_sentence(line: Json, *, currency: str) -> str:
    exact, amount = line["amount_exact"], line["amount"]
    if Decimal(exact) == Decimal(amount):
        return f"amount: {readable(amount)} {currency}, exact"
    return f"amount: {readable(exact)}, rounded half up to {readable(amount)} {currency}"
