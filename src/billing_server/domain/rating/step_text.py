"""A rating step in words, the same wherever a person follows an amount."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from billing_server.domain.rating.price_model import StepKind
from metering.quantity import plain_decimal

Step = Mapping[str, Any]


def step_text(step: Step) -> str:
    """Returns one line for people.

    Args:
        step: in its JSON form, as `steps_to_list` makes it.
    """
    return _TEXTS.get(step.get("kind", StepKind.TIER), _tier)(step)


def converted_quantity(steps: list[Step]) -> str | None:
    """Returns what the used quantity was converted to; None where it was not."""
    conversions = [step["to"] for step in steps if step.get("kind") == StepKind.CONVERSION]
    return conversions[0] if conversions else None


def _tier(step: Step) -> str:
    upper, flat = step.get("to"), step.get("flat_price", "0")
    span = ""
    if "from" in step and (upper is not None or step["from"] != "0"):
        span = f"{step['from']} to {upper}: " if upper is not None else f"over {step['from']}: "
    if step["unit_price"] == "0" and flat != "0":
        return f"{span}flat {flat} = {step['amount']}"
    flat_text = "" if flat == "0" else f" + {flat}"
    return f"{span}{step['quantity']} × {step['unit_price']}{flat_text} = {step['amount']}"


def _conversion(step: Step) -> str:
    return f"converted: {step['from']} are {step['to']}"


def _included(step: Step) -> str:
    return f"included for this part of the period: {step['to']} of {step['from']}"


def _package(step: Step) -> str:
    return (
        f"packages, up to {step['to']}: {step['quantity']} × {step['unit_price']} = "
        f"{step['amount']}"
    )


def _free(step: Step) -> str:
    return f"free: {step['quantity']}"


def _event_fee(step: Step) -> str:
    return f"fees of events: {step['quantity']} × {step['unit_price']} = {step['amount']}"


def _discount(step: Step) -> str:
    if step["quantity"] == "0":
        return f"discount: {step['amount']}"
    return f"discount: {step['quantity']} × {step['unit_price']} = {step['amount']}"


def _for_share(words: str) -> Callable[[Step], str]:
    def text(step: Step) -> str:
        share = "" if step["quantity"] == "1" else f"{step['quantity']} × {step['unit_price']} = "
        return f"{words}: {share}{step['amount']}"

    return text


def _spent(step: Step) -> str:
    counts_whole = f"-{step['to']}" == step["amount"]
    of = "" if counts_whole else f", as far as it counts of {step['to']}"
    return f"less what is charged{of}: {step['amount']}"


def _group(step: Step) -> str:
    whole = step.get("to")
    if whole is None:
        return f"only its part of the amount for all: {step['amount']}"
    others = plain_decimal(Decimal(whole) - Decimal(step["from"]))
    return f"less the part of the others, {others} of {whole}: {step['amount']}"


def _lump(words: str) -> Callable[[Step], str]:
    return lambda step: f"{words}: {step['amount']}"


_TEXTS: Final[Mapping[str, Callable[[Step], str]]] = {
    StepKind.TIER: _tier,
    StepKind.CONVERSION: _conversion,
    StepKind.INCLUDED: _included,
    StepKind.PACKAGE: _package,
    StepKind.FREE: _free,
    StepKind.EVENT_FEE: _event_fee,
    StepKind.EVENT_MINIMUM: _lump("events raised to the least that one costs"),
    StepKind.EVENT_MAXIMUM: _lump("events lowered to the most that one costs"),
    StepKind.PRORATION: _lump("only a share of the period"),
    StepKind.DISCOUNT: _discount,
    StepKind.MAXIMUM: _lump("lowered to the maximum"),
    StepKind.MINIMUM: _lump("raised to the minimum"),
    StepKind.GROUP: _group,
    StepKind.COMMITMENT: _for_share("committed"),
    StepKind.MINIMUM_SPEND: _for_share("minimum spend"),
    StepKind.SPENT: _spent,
    StepKind.INVOICED: _lump("less what is invoiced"),
}
