"""Drafts: lines under a reason and a cause, with their totals and the hash of their inputs."""

from collections.abc import Mapping, Sequence

from billing_server.domain.invoice.identities import check_identities
from billing_server.domain.invoice.inputs import inputs_sha256
from billing_server.domain.invoice.late import LatePeriod
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.invoice.model import (
    Invoice,
    InvoiceLine,
    InvoiceReason,
    UnpricedUsage,
)
from billing_server.domain.invoice.spend import EarlierLine
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.rating.segment_usage import Used
from billing_server.domain.subscription.model import Customer
from billing_server.domain.tax.taxing import TaxableLine, tax_of
from metering.money import Money
from metering.period import Period


def make_draft(
    terms: BillingTerms,
    *,
    reason: InvoiceReason,
    cause: str,
    period: Period,
    lines: Sequence[InvoiceLine],
    quantities: Mapping[UsageKey, Used] | None = None,
    late: Sequence[LatePeriod] = (),
    earlier: Sequence[EarlierLine] = (),
    unpriced: Sequence[UnpricedUsage] = (),
) -> Invoice:
    """Returns the draft of an invoice.

    Args:
        terms: of the subscription.
        reason: why it is made.
        cause: what makes it, unique for the reason (R67).
        period: the billing period that makes it due.
        lines: at least one where it is to be issued.
        quantities: by price and segment, the usage that the lines charge.
        late: earlier periods with late usage.
        earlier: lines of earlier invoices that the amounts depend on.
        unpriced: usage that no price charges.
    """
    currency = terms.plan.currency
    nothing = Money.zero(currency)
    subtotal = sum((line.amount for line in lines), start=nothing)
    tax = tax_of([taxable(line) for line in lines], currency=currency)
    total = subtotal + tax.added
    invoice = Invoice(
        id="",
        reason=reason,
        cause=cause,
        customer_id=terms.customer.id,
        subscription_id=terms.timeline.subscription.id,
        currency=currency,
        period=period,
        seller=terms.seller,
        customer_details=customer_details(terms.customer),
        inputs_sha256=inputs_sha256(
            terms,
            reason=reason,
            cause=cause,
            period=period,
            quantities=quantities or {},
            late=late,
            earlier=earlier,
            taxes={line.charge_key: line.tax for line in lines if line.tax.rates},
        ),
        lines=tuple(lines),
        subtotal=subtotal,
        discount=nothing,
        tax=tax.amounts,
        tax_total=tax.added,
        total=total,
        credit_notes_applied=nothing,
        credits_applied=nothing,
        amount_paid=nothing,
        amount_due=total,
        unpriced=tuple(unpriced),
    )
    check_identities(invoice)
    return invoice


def taxable(line: InvoiceLine) -> TaxableLine:
    """Returns what of a line its tax depends on."""
    return TaxableLine(amount=line.amount, discount_share=line.discount_share, tax=line.tax)


def customer_details(customer: Customer) -> dict[str, str]:
    """Returns what an invoice shows of the customer, copied so that it never changes (R74)."""
    details = {
        "name": customer.name or customer.id,
        "timezone": customer.timezone,
        "country": customer.country,
        "region": customer.region,
        "tax_exempt": str(customer.tax_exempt) if customer.is_tax_exempt else "",
        "tax_id": customer.tax_id,
        "email": customer.email,
        "purchase_order": customer.purchase_order,
    }
    return {name: value for name, value in details.items() if value}
