"""The tax of proposed credit notes, by the rates and the rounding of their invoices (R44, R79).

A difference is taken back from the lines that charged it, those of the newest invoice first. Notes
on one invoice follow each other, so that all of them never take back more tax than it has.

Example: 30.00 too much on an invoice with 20 % VAT: the note is −30.00 and −6.00 of tax.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from billing_server.domain.invoice.correction import Correction, Proposal
from billing_server.domain.tax.credit_note import CreditNoteAmounts, credited_amounts
from billing_server.domain.tax.taxing import TaxableLine
from metering.money import Money
from metering.period import Period


@dataclass(frozen=True, slots=True)
class InvoicedLine:
    """A line of an issued invoice."""

    price: str
    """Key of its price."""
    period: Period | None
    """Billing period in which its service begins; None: in none of the subscription's."""
    content: TaxableLine
    """What its tax depends on."""


@dataclass(slots=True)
class _Document:
    lines: Sequence[InvoicedLine]
    notes: list[CreditNoteAmounts] = field(default_factory=list)

    def credit(self, *, price: str, period: Period, amount: Money) -> tuple[Money, Money]:
        """Takes back up to an amount; returns what of it was taken, and the tax on top of it."""
        left, items = amount.amount_minor, dict[int, Money]()
        for index, line in enumerate(self.lines):
            if (line.price, line.period) == (price, period) and left:
                free = min(left, max(self._left_of(index), 0))
                left -= free
                if free:
                    items[index] = Money(free, amount.currency)
        nothing = Money.zero(amount.currency)
        if not items:
            return nothing, nothing
        contents = [line.content for line in self.lines]
        self.notes.append(credited_amounts(contents, items=items, earlier=self.notes))
        return sum(items.values(), nothing), self.notes[-1].added

    def _left_of(self, index: int) -> int:
        taken = sum(
            item.amount.amount_minor
            for note in self.notes
            for item in note.items
            if item.line == index
        )
        return self.lines[index].content.amount.amount_minor - taken


def with_note_tax(
    corrections: Iterable[Correction], *, read: Callable[[str], Sequence[InvoicedLine]]
) -> tuple[Correction, ...]:
    """Returns corrections, the credit notes among them with their tax.

    Args:
        corrections: of one subscription, in order.
        read: the lines of an issued invoice, by its number.
    """
    documents: dict[str, _Document] = {}
    return tuple(
        replace(each, tax=_note_tax(each, documents=documents, read=read))
        if each.proposal is Proposal.CREDIT_NOTE
        else each
        for each in corrections
    )


def _note_tax(
    correction: Correction,
    *,
    documents: dict[str, _Document],
    read: Callable[[str], Sequence[InvoicedLine]],
) -> Money:
    left = -correction.difference
    tax = Money.zero(left.currency)
    for number in reversed(correction.numbers):
        if number not in documents:
            documents[number] = _Document(read(number))
        taken, added = documents[number].credit(
            price=correction.price, period=correction.period, amount=left
        )
        left, tax = left - taken, tax + added
    return -tax
