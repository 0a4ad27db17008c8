"""Invoices as the JSON of the public contract."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing_server.domain.invoice.model import (
    Invoice,
    InvoiceLine,
    InvoiceState,
    UnpricedUsage,
)
from billing_server.domain.rating.steps import steps_to_list
from billing_server.domain.tax.rate import NOT_TAXED, AppliedRate, LineTax, TaxBehavior
from billing_server.domain.tax.taxing import TaxAmount
from metering.clock import format_instant
from metering.period import Period
from metering.quantity import plain_decimal


def invoice_to_dict(invoice: Invoice) -> dict[str, object]:
    """Returns an invoice with every field of the contract, in its order.

    Money is a decimal string in major units with exactly the currency's digits. A draft carries
    `unpriced` beside.
    """
    content: dict[str, object] = {
        "id": invoice.id or None,
        "number": invoice.number,
        "state": str(invoice.state),
        "reason": str(invoice.reason),
        "replaces": invoice.replaces,
        "customer": invoice.customer_id,
        "currency": invoice.currency,
        "period": _period(invoice.period),
        "issue_time": _instant(invoice.issue_time),
        "due_time": _instant(invoice.due_time),
        "seller": dict(invoice.seller),
        "customer_details": dict(invoice.customer_details),
        "inputs_sha256": invoice.inputs_sha256,
        "lines": [line_to_dict(line) for line in invoice.lines],
        "subtotal": invoice.subtotal.decimal_string(),
        "discounts": [],
        "discount": invoice.discount.decimal_string(),
        "tax": [tax_to_dict(each) for each in invoice.tax],
        "tax_total": invoice.tax_total.decimal_string(),
        "total": invoice.total.decimal_string(),
        "credit_notes_applied": invoice.credit_notes_applied.decimal_string(),
        "credits": [],
        "credits_applied": invoice.credits_applied.decimal_string(),
        "amount_paid": invoice.amount_paid.decimal_string(),
        "amount_due": invoice.amount_due.decimal_string(),
    }
    if invoice.state is InvoiceState.DRAFT:
        content["unpriced"] = [unpriced_to_dict(usage) for usage in invoice.unpriced]
    return content


def line_to_dict(line: InvoiceLine) -> dict[str, object]:
    """Returns an invoice line with every field of the contract, in its order."""
    proration = line.proration
    return {
        "id": line.id,
        "subscription": line.subscription,
        "price": line.price,
        "price_version": line.price_version,
        "segment": line.segment,
        "kind": str(line.kind),
        "description": line.description,
        "group": dict(line.group),
        "service_period": _period(line.service_period),
        "quantity": plain_decimal(line.quantity),
        "included_quantity": plain_decimal(line.included_quantity),
        "billable_quantity": plain_decimal(line.billable_quantity),
        "unit": line.unit,
        "amount": line.amount.decimal_string(),
        "amount_exact": plain_decimal(line.amount_exact),
        "steps": steps_to_list(line.steps),
        "proration": None
        if proration is None
        else {"numerator": proration.numerator, "denominator": proration.denominator},
        "discount_share": line.discount_share.decimal_string(),
        "tax_rates": [rate.key for rate in line.tax.rates],
        # Left out without tax: invoices from before there was any stay as they are.
        **({"tax": line_tax_to_dict(line.tax)} if line.tax.rates else {}),
    }


def line_tax_to_dict(tax: LineTax) -> dict[str, object]:
    """Returns how a line is taxed, with copies of its rates (R74)."""
    return {
        "behavior": str(tax.behavior),
        "rates": [_rate_to_dict(rate) for rate in tax.rates],
    }


def line_tax_from_dict(line: Mapping[str, Any]) -> LineTax:
    """Returns how a line is taxed, from the form of `line_to_dict`."""
    found = line.get("tax")
    if found is None:
        return NOT_TAXED
    return LineTax(
        tuple(
            AppliedRate(key=each["key"], name=each["name"], rate=Decimal(each["rate"]))
            for each in found["rates"]
        ),
        TaxBehavior(found["behavior"]),
    )


def tax_to_dict(tax: TaxAmount) -> dict[str, object]:
    """Returns what one tax rate comes to; the rate is the copy that the document keeps (R74)."""
    return {
        **_rate_to_dict(tax.rate),
        "behavior": str(tax.behavior),
        "base": tax.base.decimal_string(),
        "amount": tax.amount.decimal_string(),
    }


def unpriced_to_dict(usage: UnpricedUsage) -> dict[str, object]:
    """Returns usage that no price charges, as the upcoming invoice shows it (R32)."""
    return {
        "meter": usage.meter,
        "dimensions": dict(sorted(usage.dimensions.items())),
        "quantity": plain_decimal(usage.quantity),
        "unit": usage.unit,
    }


def _rate_to_dict(rate: AppliedRate) -> dict[str, object]:
    return {"key": rate.key, "name": rate.name, "rate": plain_decimal(rate.rate)}


def _period(period: Period) -> dict[str, str]:
    return {"start": format_instant(period.start), "end": format_instant(period.end)}


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else format_instant(instant)
