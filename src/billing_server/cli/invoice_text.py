"""An invoice as text that can be followed line by line."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from billing_server.domain.invoice.calculation import (
    fee_quantity,
    readable,
    readable_numbers,
    whole_of_part,
)
from billing_server.domain.rating.step_text import converted_quantity, step_text
from metering.quantity import plain_decimal

Json = Mapping[str, Any]
RULE = "─" * 78


def invoice_text(invoice: Json) -> str:
    """Return an invoice (in its JSON form) as text for people."""
    return "\n".join(_lines_of_invoice(invoice))


def _lines_of_invoice(invoice: Json) -> Iterator[str]:
    details = invoice.get("customer_details") or {}
    name = details.get("name", invoice["customer"])
    named = "" if name == invoice["customer"] else f" ({name})"
    period = invoice["period"]
    span = f"{period['start']} – {period['end']}" if period else "– (no subscription runs)"
    yield RULE
    yield f"Invoice {invoice['number'] or '(draft)'}   {invoice['reason']}   {invoice['state']}"
    yield f"  customer  {invoice['customer']}{named}"
    yield f"  period    {span}"
    if invoice.get("issue_time"):
        yield f"  issued    {invoice['issue_time']}"
    yield RULE
    for line in invoice["lines"]:
        yield from _lines_of_line(line, currency=invoice["currency"])
    yield from _lines_of_totals(invoice)
    if details.get("tax_exempt") == "reverse_charge":
        yield "Reverse charge: the customer owes the tax to its own tax office."
    yield RULE


def _lines_of_line(line: Json, *, currency: str) -> Iterator[str]:
    service = line["service_period"]
    yield f"{line['description']}"
    yield f"    service   {service['start']} – {service['end']}"
    if line["kind"] in {"usage", "late_usage"}:
        yield f"    quantity  {_quantity_text(line)}"
    elif line["kind"] == "recurring" and fee_quantity(line) is not None:
        yield f"    quantity  {fee_quantity(line)}"
    for step in line["steps"]:
        yield f"      {readable_numbers(step_text(step))}"
    if line.get("proration"):
        share = line["proration"]
        yield f"    share     {share['numerator']}/{share['denominator']} of the period"
    exact, amount = line["amount_exact"], line["amount"]
    rounded = "" if Decimal(exact) == Decimal(amount) else f"exact {readable(exact)}, rounded "
    yield f"    amount    {rounded}{readable(amount)} {currency}"


def _quantity_text(line: Json) -> str:
    used, unit = readable(line["quantity"]), line["unit"]
    whole = whole_of_part(line)
    if whole is not None:
        used = f"{used} {unit}, by all {readable(whole['used_by_all'])}"
        line = whole
    included, billable = readable(line["included_quantity"]), readable(line["billable_quantity"])
    charged = f"{included} included = {billable}"
    converted = converted_quantity(line["steps"])
    if converted is None and included == "0":
        return f"{used} {unit}"
    if converted is None:
        return f"{used} − {charged} {unit}"
    return f"{used} {unit}, converted {readable(converted)} − {charged}"


def _lines_of_totals(invoice: Json) -> Iterator[str]:
    currency = invoice["currency"]
    yield ""
    for label, value in (
        ("subtotal", invoice["subtotal"]),
        ("discount", _unless_zero(invoice.get("discount"))),
        *tax_texts(invoice, behavior="exclusive"),
        ("total", invoice["total"]),
        *tax_texts(invoice, behavior="inclusive"),
        ("paid", _unless_zero(invoice.get("amount_paid"))),
        ("due", invoice["amount_due"]),
    ):
        if value is not None:
            yield f"{label:>59} {readable(value):>14} {currency or ''}".rstrip()


def tax_texts(invoice: Json, *, behavior: str) -> Iterator[tuple[str, str]]:
    """Return a label and an amount for each rate: `VAT 19 % of 100.00`."""
    inside = "with " if behavior == "inclusive" else ""
    for tax in invoice.get("tax", ()):
        if tax["behavior"] == behavior:
            percent = plain_decimal(Decimal(tax["rate"]) * 100)
            yield (
                f"{inside}{tax['name']} {percent} % of {readable(tax['base'])}",
                tax["amount"],
            )


def _unless_zero(value: str | None) -> str | None:
    return None if is_zero(value) else value


def is_zero(value: str | None) -> bool:
    """Tell whether an amount is nothing."""
    return value is None or not value.strip("-0.")
