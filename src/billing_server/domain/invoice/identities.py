"""What holds for every invoice, to the cent (R45): checked whenever one is built or finalized."""

from billing_server.domain.invoice.model import Invoice
from billing_server.domain.tax.taxing import DocumentTax
from metering.errors import InvariantError
from metering.money import Money


def check_identities(invoice: Invoice) -> None:
    """Checks that the shown parts add up, that nothing is below zero, and that keys are unique.

    Raises:
        InvariantError: INVOICE_UNBALANCED, INVOICE_NEGATIVE, CHARGE_KEY_REPEATED. Each is a defect
            of the product: such an invoice must not be issued.
    """
    nothing = Money.zero(invoice.currency)
    subtotal = sum((line.amount for line in invoice.lines), start=nothing)
    tax_total = DocumentTax.of(invoice.tax, currency=invoice.currency).added
    total = invoice.subtotal - invoice.discount + invoice.tax_total
    amount_due = (
        invoice.total - invoice.credit_notes_applied - invoice.credits_applied - invoice.amount_paid
    )
    for name, shown, wanted in (
        ("subtotal", invoice.subtotal, subtotal),
        ("tax_total", invoice.tax_total, tax_total),
        ("total", invoice.total, total),
        ("amount_due", invoice.amount_due, amount_due),
    ):
        if shown != wanted:
            raise InvariantError(
                reason="INVOICE_UNBALANCED",
                message=f"{name} is {shown.decimal_string()} and its parts add up to "
                f"{wanted.decimal_string()} {invoice.currency}",
            )
    if invoice.total.amount_minor < 0:
        raise InvariantError(
            reason="INVOICE_NEGATIVE",
            message=f"the total is {invoice.total.decimal_string()} {invoice.currency}; it has "
            "to be 0 or more",
        )
    keys = [line.charge_key for line in invoice.lines]
    if len(keys) != len(set(keys)):
        raise InvariantError(
            reason="CHARGE_KEY_REPEATED",
            message=f"one amount stands twice on the invoice: {sorted(keys)}",
        )
