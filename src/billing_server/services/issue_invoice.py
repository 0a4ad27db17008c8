"""Finalizing a draft: number, id and times in the transaction that writes it (R68)."""

from billing_server.domain.invoice.finalize import finalize
from billing_server.domain.invoice.model import Invoice
from billing_server.domain.invoice.serialize import invoice_to_dict
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.services.context import ServiceContext

INVOICE_ID_PREFIX = "inv"


def issue_invoice(unit: UnitOfWork, *, context: ServiceContext, draft: Invoice) -> Invoice:
    """Give a draft its number and write it; all of it or nothing.

    Args:
        unit: holds the customer; a roll-back of it frees the number again.
        context: the world.
        draft: as the domain built it, with at least one line (R69).

    Raises:
        ConflictError: INVOICE_EXISTS, what it charges is invoiced already (R67).
    """
    now = context.clock.now()
    invoice = finalize(
        draft,
        invoice_id=context.new_id(INVOICE_ID_PREFIX),
        number=unit.invoices.take_number(),
        issue_time=now,
        due_time=now + context.settings.payment_terms,
    )
    unit.invoices.add(invoice, content=invoice_to_dict(invoice), create_time=now)
    return invoice
