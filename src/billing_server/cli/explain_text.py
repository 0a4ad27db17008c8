"""An explained invoice as text that a finance person can follow."""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from billing_server.cli.invoice_text import RULE, tax_texts
from billing_server.domain.invoice.calculation import readable
from metering.quantity import plain_decimal

Json = Mapping[str, Any]


def explanation_text(explained: Json) -> str:
    """Return an explained invoice (in its JSON form) as text for people."""
    return "\n".join(_lines_of_explanation(explained))


def event_text(event: Json) -> str:
    """Return one event of a line."""
    dimensions = " ".join(f"{key}={value}" for key, value in event["dimensions"].items())
    quantity = f"{readable(event['quantity']):>14}"
    text = f"{event['event_time']}  {quantity}  {event['event_id']}  {dimensions}".rstrip()
    if event["state"] == "counted":
        return text
    why = f": {event['reason']}" if event["reason"] else ""
    return f"{text}  ({event['state']}{why})"


def _lines_of_explanation(explained: Json) -> Iterator[str]:
    period = explained["period"]
    span = f"{period['start']} – {period['end']}" if period else "– (no subscription runs)"
    yield RULE
    yield f"Invoice {explained['number'] or '(upcoming)'} of {explained['customer']}, {span}"
    yield RULE
    margins = {each["line"]: each for each in (explained["margin"] or {}).get("lines", ())}
    for line in explained["lines"]:
        yield from _lines_of_line(line, margin=margins.get(line["line"]))
    currency = explained["currency"] or ""
    for label, amount in tax_texts(explained, behavior="exclusive"):
        yield f"{label}: {readable(amount)} {currency}"
    yield f"total {readable(explained['total'])} {currency}".rstrip()
    for label, amount in tax_texts(explained, behavior="inclusive"):
        yield f"{label}: {readable(amount)} {currency}"
    yield from _lines_of_margin(explained["margin"], currency=currency)
    yield RULE


def _lines_of_line(line: Json, *, margin: Json | None) -> Iterator[str]:
    service = line["service_period"]
    yield f"[{line['line']}] {line['description']}"
    yield f"    for {service['start']} – {service['end']}, subscription {line['subscription']}"
    terms = line["terms"]
    if terms is not None:
        yield from _lines_of_terms(terms)
    for sentence in line["calculation"]:
        yield f"      {sentence}"
    if margin is not None:
        yield (
            f"      your cost: {readable(margin['cost'])} at {margin['unit_cost']} a unit, "
            f"margin {readable(margin['margin'])}"
        )
    if line["usage"] is not None:
        yield from _lines_of_usage(line["usage"], unit=line["unit"])
    yield ""


def _lines_of_terms(terms: Json) -> Iterator[str]:
    since = f", on offer since {terms['effective_from']}" if terms["effective_from"] else ""
    price, addon, override = terms["price"], terms["addon"], terms["override"]
    model = f" ({price['model']})" if "model" in price else ""
    source = f"plan {terms['plan']} version {terms['plan_version']}{since}"
    if addon is not None:
        source = f"add-on {addon['key']} version {addon['version']}"
    yield f"    price {price['key']}{model} of {source}"
    if override is not None:
        fields = json.dumps(override["set"], ensure_ascii=False)
        yield f"    with this subscription's own terms since {override['start']}: {fields}"
    share = terms["share"]
    if share is not None:
        included = price.get("included", "0")
        whole = "" if included == "0" else f"; a whole one includes {readable(included)}"
        part = f"{share['numerator']}/{share['denominator']} of a whole period"
        yield f"    for {part if share['numerator'] else 'none of the period by its days'}{whole}"
    by_second = terms["maximum_share"]
    if by_second is not None and "maximum" in price:
        part = f"{by_second['numerator']}/{by_second['denominator']}, the part by the second"
        yield f"    of its maximum of {readable(price['maximum'])} for {part}"


def _lines_of_usage(usage: Json, *, unit: str) -> Iterator[str]:
    yield f"    from {_counted(usage['event_count'])}:"
    for group in usage["by_dimensions"]:
        values = " ".join(f"{key}={value}" for key, value in group["dimensions"].items())
        yield (
            f"      {readable(group['quantity']):>14} {unit}  {values or 'no dimensions'} "
            f"({_counted(group['event_count'])})"
        )
    if usage["not_listed_count"]:
        yield f"      … and {usage['not_listed_count']:,} more sets of dimensions"
    if usage["note"]:
        yield f"    note: {usage['note']}"


def _lines_of_margin(margin: Json | None, *, currency: str) -> Iterator[str]:
    if margin is None:
        return
    rate = margin["margin_rate"]
    share = (
        "" if rate is None else f", {readable(_percent(rate))} % of {readable(margin['charged'])}"
    )
    yield (
        f"your cost of its usage {readable(margin['cost'])}, margin "
        f"{readable(margin['margin'])} {currency}{share}"
    )
    if margin["lines_without_cost"]:
        yield f"  ({margin['lines_without_cost']} usage lines name no unit_cost and are left out)"


def _percent(rate: str) -> str:
    return plain_decimal(Decimal(rate) * 100)


def _counted(event_count: int) -> str:
    return f"{event_count:,} event{'' if event_count == 1 else 's'}"
