"""From a draft to an issued invoice: number, id and times; it never changes again (R66)."""

from dataclasses import replace
from datetime import datetime

from billing_server.domain.invoice.identities import check_identities
from billing_server.domain.invoice.model import Invoice, InvoiceState
from metering.errors import InvalidStateError


def finalize(
    draft: Invoice, *, invoice_id: str, number: str, issue_time: datetime, due_time: datetime
) -> Invoice:
    """Returns the finalized form of a draft; its content never changes from here on (R66, R68).

    An invoice over zero is paid at once (R69).

    Args:
        draft: as built.
        invoice_id: `inv_…`.
        number: the next of the series.
        issue_time: now, UTC (R75).
        due_time: when it is to be paid, UTC.

    Raises:
        InvalidStateError: INVOICE_ALREADY_FINALIZED, INVOICE_EMPTY (R69).
    """
    if draft.state is not InvoiceState.DRAFT:
        raise InvalidStateError(
            reason="INVOICE_ALREADY_FINALIZED",
            message=f"invoice {draft.number} is {draft.state}; only a draft can be finalized",
        )
    if not draft.lines:
        raise InvalidStateError(
            reason="INVOICE_EMPTY", message="the draft has no lines; such an invoice is not issued"
        )
    is_settled = draft.amount_due.amount_minor == 0
    final = replace(
        draft,
        id=invoice_id,
        number=number,
        state=InvoiceState.PAID if is_settled else InvoiceState.FINALIZED,
        issue_time=issue_time,
        due_time=due_time,
        unpriced=(),
    )
    check_identities(final)
    return final
