"""An invoice line's arithmetic as sentences that a finance person can follow with a calculator.

They are made from the line as it is shown and stored, so that invoices of any age can be explained.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

Json = Mapping[str, Any]

USAGE_KINDS: Final = frozenset({"usage", "late_usage"})


def calculation_of(line: Json, *, currency: str) -> tuple[str, ...]:
    """Returns how a line's amount came about, one sentence a step, in the order of the steps.

    Args:
        line: in the JSON of the contract.
        currency: ISO 4217 code of the invoice.
    """
    sentences = list(
        _usage_sentences(line) if line["kind"] in USAGE_KINDS else _fee_sentences(line)
    )
    sentences += [step_sentence(step) for step in line["steps"]]
    share = line.get("proration")
    if share:
        sentences.append(f"share: {share['numerator']}/{share['denominator']} of the whole period")
    sentences.append(_rounding_sentence(line, currency=currency))
    return tuple(sentences)


def step_sentence(step: Json) -> str:
    """Returns one step of a line, or of a quote, as `span: quantity × price = amount`."""
    sentence = _SENTENCES.get(step.get("kind", "tier"), _lump)
    return sentence(step)


def readable(number: str) -> str:
    """Returns a plain decimal with its thousands set apart: `1500000.25` as `1,500,000.25`."""
    sign = "−" if number.startswith("-") else ""
    whole, point, fraction = number.removeprefix("-").partition(".")
    return f"{sign}{int(whole):,}{point}{fraction}"


def _usage_sentences(line: Json) -> list[str]:
    unit = line["unit"]
    used = f"used: {readable(line['quantity'])} {unit}"
    group = " ".join(f"{key}={value}" for key, value in line.get("group", {}).items())
    sentences = [f"{used} of {group}" if group else used]
    if Decimal(line["included_quantity"]):
        sentences.append(
            f"included: {readable(line['included_quantity'])}, which leaves "
            f"{readable(line['billable_quantity'])} to charge"
        )
    return sentences


def _fee_sentences(line: Json) -> list[str]:
    quantity = line["quantity"]
    return [] if quantity == "1" else [f"quantity: {readable(quantity)} {line['unit']}".rstrip()]


def _rounding_sentence(line: Json, *, currency: str) -> str:
    exact, amount = line["amount_exact"], line["amount"]
    if Decimal(exact) == Decimal(amount):
        return f"amount: {readable(amount)} {currency}, exact"
    return f"amount: {readable(exact)}, rounded half up to {readable(amount)} {currency}"


def _tier(step: Json) -> str:
    low, high = step["from"], step["to"]
    if high is not None:
        span = f"from {readable(low)} to {readable(high)}: "
    else:
        span = "" if low == "0" else f"above {readable(low)}: "
    return f"{span}{_product(step)}"


def _package(step: Json) -> str:
    noun = "package" if step["quantity"] == "1" else "packages"
    return _product(step, unit=noun)


def _event_fee(step: Json) -> str:
    noun = "event" if step["quantity"] == "1" else "events"
    return _product(step, unit=noun)


def _conversion(step: Json) -> str:
    return f"converted: {readable(step['from'])} count as {readable(step['to'] or '0')}"


def _free(step: Json) -> str:
    return f"free by the price's terms: {readable(step['quantity'])}"


def _lump(step: Json) -> str:
    name = step.get("kind", "adjustment").replace("_", " ")
    amount = step["amount"]
    sign = "" if amount.startswith("-") else "+"
    return f"{name}: {sign}{readable(amount)}"


def _product(step: Json, *, unit: str = "") -> str:
    quantity, unit_price, flat_price = step["quantity"], step["unit_price"], step["flat_price"]
    named = f"{readable(quantity)} {unit}".rstrip()
    flat = "" if flat_price in {None, "0"} else f" + {readable(flat_price)} flat"
    if unit_price == "0" and flat and quantity == "0":
        return f"{flat.removeprefix(' + ')} = {readable(step['amount'])}"
    return f"{named} × {readable(unit_price)}{flat} = {readable(step['amount'])}"


_SENTENCES: Final[Mapping[str, Callable[[Json], str]]] = {
    "tier": _tier,
    "package": _package,
    "event_fee": _event_fee,
    "conversion": _conversion,
    "free": _free,
}
"""Kind of a step to its sentence; what only adds or takes off an amount is told by its name."""
