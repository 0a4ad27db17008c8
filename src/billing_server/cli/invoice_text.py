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
    for label, field in (
        ("subtotal", "subtotal"),
        ("discount", "discount"),
        ("tax", "tax_total"),
        ("total", "total"),
        ("paid", "amount_paid"),
        ("due", "amount_due"),
    ):
        value = invoice.get(field)
        is_shown = field in {"subtotal", "total", "amount_due"} or not _is_zero(value)
        if value is not None and is_shown:
            yield f"{label:>59} {readable(value):>14} {currency or ''}".rstrip()


def _is_zero(value: str | None) -> bool:
    return value is None or not value.strip("-0.")
