"""What a credit note takes back: amounts of lines, their coupon share and their tax (R44, R79).

Each part of a note is rounded by itself, as on the invoice, and kept less than a minor unit from
what is exact for all notes together; the note that takes back the last of a rate's lines takes
what is left of its tax. So notes never come to more than their invoice, however it is split.

Example, at 20 %: an invoice of 68.33, 68.33, 57.50 and 85.00 is 334.99. A note for each line is
82.00, 82.00, 69.00 and, the last, 101.99: by itself it would be 102.00, and all of them 335.00.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from billing_server.domain.tax.rate import TaxBehavior
from billing_server.domain.tax.taxing import (
    TaxableLine,
    TaxAmount,
    exact_tax,
    rounded,
    tax_of,
)
from metering.errors import FieldViolation, ValidationError
from metering.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditItem:
    """What a note takes back of one line."""

    line: int
    """Position of the line on the invoice, from 0."""
    amount: Money
    """Before discounts, in the line's own terms: an inclusive one has its tax inside. > 0."""
    discount_share: Money
    """Part of the line's share of the discounts that goes with it, >= 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNoteAmounts:
    """What one note comes to: item sum − coupon share + tax (R78)."""

    items: tuple[CreditItem, ...]
    """In the order of the lines."""
    tax: tuple[TaxAmount, ...]
    """By the rates of the invoice, not by those of today."""
    added: Money
    """Σ tax on top of the items."""

    @property
    def total(self) -> Money:
        """Returns what the customer gets."""
        return sum((each.amount - each.discount_share for each in self.items), self.added)


def credit_note(
    lines: Sequence[TaxableLine],
    *,
    items: Mapping[int, Money],
    earlier: Sequence[CreditNoteAmounts] = (),
) -> CreditNoteAmounts:
    """Returns the amounts of a credit note.

    Args:
        lines: of the invoice, with the rates that stand on it.
        items: by position of the line, from 0, the amount to take back, > 0, before discounts.
        earlier: the notes on the invoice so far.

    Raises:
        ValidationError: CREDIT_ITEM_INVALID, one violation an item: CREDIT_EXCEEDS_LINE and the
            like; CREDIT_EXCEEDS_INVOICE where lines below zero leave less than the items.
    """
    note = credited_amounts(lines, items=items, earlier=earlier)
    _check_total(_Credited(lines, earlier), note=note)
    return note


def credited_amounts(
    lines: Sequence[TaxableLine],
    *,
    items: Mapping[int, Money],
    earlier: Sequence[CreditNoteAmounts] = (),
) -> CreditNoteAmounts:
    """Returns the same where a charge elsewhere makes up for what passes the invoice's total."""
    credited = _Credited(lines, earlier)
    _check_items(credited, items=items)
    found = tuple(
        CreditItem(
            line=index,
            amount=amount,
            discount_share=credited.discount_share_of(index, amount),
        )
        for index, amount in sorted(items.items())
    )
    return _with_tax(credited, items=found)


class _Credited:
    """An invoice and the notes on it."""

    def __init__(self, lines: Sequence[TaxableLine], notes: Sequence[CreditNoteAmounts]) -> None:
        self.lines = lines
        self.notes = notes
        self.currency = lines[0].amount.currency if lines else ""
        self._items = [item for note in notes for item in note.items]

    def left_of(self, index: int) -> Money:
        """Returns what may still be taken back of a line; below zero for such a line."""
        return self.lines[index].amount - self._sum(
            item.amount for item in self._items if item.line == index
        )

    def discount_share_of(self, index: int, amount: Money) -> Money:
        """Returns the part of a line's discount that goes with an amount of the line."""
        line, left = self.lines[index], self.left_of(index)
        taken = self._sum(item.discount_share for item in self._items if item.line == index)
        if amount == left:
            return line.discount_share - taken
        share = Fraction(line.discount_share.amount_minor, line.amount.amount_minor)
        together = line.amount.amount_minor - left.amount_minor + amount.amount_minor
        return self._next(
            share * amount.amount_minor,
            together=share * together,
            taken=taken,
            whole=line.discount_share,
        )

    def item_line(self, item: CreditItem) -> TaxableLine:
        """Returns an item as a line: with the behaviour and the rates of the one it undoes."""
        return replace(
            self.lines[item.line], amount=item.amount, discount_share=item.discount_share
        )

    def tax_amount(self, alone: TaxAmount, *, items: Sequence[CreditItem]) -> Money:
        """Returns a rate's tax of a note, given what it is for the note alone."""
        rate, behavior = alone.rate, alone.behavior
        taken = self._sum(
            tax.amount
            for note in self.notes
            for tax in note.tax
            if (tax.rate, tax.behavior) == (rate, behavior)
        )
        whole = next(
            tax.amount
            for tax in tax_of(self.lines, currency=self.currency).amounts
            if (tax.rate, tax.behavior) == (rate, behavior)
        )
        taxed = {
            index
            for index, line in enumerate(self.lines)
            if line.tax.behavior is behavior and rate in line.tax.rates
        }
        taken_now = {item.line: item.amount for item in items}
        nothing = Money.zero(self.currency)
        if all(self.left_of(index) == taken_now.get(index, nothing) for index in taxed):
            return whole - taken
        exact, before = (
            sum((exact_tax(self.item_line(item), rate) for item in some), Fraction(0))
            for some in (
                [item for item in items if item.line in taxed],
                [item for item in self._items if item.line in taxed],
            )
        )
        return self._next(exact, together=before + exact, taken=taken, whole=whole)

    def _next(self, exact: Fraction, *, together: Fraction, taken: Money, whole: Money) -> Money:
        """Rounds a part by itself, and keeps all parts near what is exact for them together.

        Args:
            exact: the part, in minor units, >= 0.
            together: this and the parts before it.
            taken: what the parts before it came to.
            whole: what all of them may come to; lines below zero may leave nothing.
        """
        alone = taken + rounded(exact, currency=self.currency)
        most = min(math.ceil(together), max(whole.amount_minor, 0))
        kept = min(max(alone.amount_minor, math.floor(together)), most)
        return Money(kept, self.currency) - taken

    def _sum(self, amounts: Iterable[Money]) -> Money:
        return sum(amounts, Money.zero(self.currency))


def _with_tax(credited: _Credited, *, items: tuple[CreditItem, ...]) -> CreditNoteAmounts:
    lines = [credited.item_line(item) for item in items]
    alone = tax_of(lines, currency=credited.currency).amounts
    kept = [replace(tax, amount=credited.tax_amount(tax, items=items)) for tax in alone]
    added = (tax.amount for tax in kept if tax.behavior is TaxBehavior.EXCLUSIVE)
    return CreditNoteAmounts(
        items=items,
        tax=tuple(
            replace(tax, base=tax.base - _moved(tax, alone=alone, kept=kept, lines=lines))
            for tax in kept
        ),
        added=sum(added, Money.zero(credited.currency)),
    )


def _moved(
    tax: TaxAmount,
    *,
    alone: Sequence[TaxAmount],
    kept: Sequence[TaxAmount],
    lines: Sequence[TaxableLine],
) -> Money:
    """Returns by how much more tax stands inside a rate's lines than the note alone would have."""
    nothing = Money.zero(tax.amount.currency)
    if tax.behavior is TaxBehavior.EXCLUSIVE:
        return nothing
    beside = {rate for line in lines if tax.rate in line.tax.rates for rate in line.tax.rates}
    return sum(
        (
            new.amount - old.amount
            for old, new in zip(alone, kept, strict=True)
            if new.behavior is TaxBehavior.INCLUSIVE and new.rate in beside
        ),
        nothing,
    )


def _check_items(credited: _Credited, *, items: Mapping[int, Money]) -> None:
    violations = [
        FieldViolation(f"lines[{index}]", problem, reason)
        for index, amount in sorted(items.items())
        for reason, problem in _item_problems(credited, index=index, amount=amount)
    ]
    if not items:
        violations = [FieldViolation("lines", "a note takes back at least one amount", "NO_ITEM")]
    if violations:
        raise ValidationError(
            reason="CREDIT_ITEM_INVALID",
            message="; ".join(f"{each.field}: {each.description}" for each in violations),
            violations=violations,
        )


def _item_problems(credited: _Credited, *, index: int, amount: Money) -> list[tuple[str, str]]:
    count = len(credited.lines)
    if not 0 <= index < count:
        return [("LINE_UNKNOWN", f"the invoice has {count} lines, counted from 0; name one")]
    if amount.amount_minor <= 0:
        return [("AMOUNT_NOT_POSITIVE", "an amount above 0 belongs here")]
    left = credited.left_of(index)
    if amount.currency != left.currency:
        return [("CURRENCY_MISMATCH", f"{amount.currency} on an invoice in {left.currency}")]
    if amount.amount_minor <= left.amount_minor:
        return []
    problem = (
        f"{amount.decimal_string()} is more than the {left.decimal_string()} {left.currency} that "
        "is left of the line; take back at most that"
    )
    return [("CREDIT_EXCEEDS_LINE", problem)]


def _check_total(credited: _Credited, *, note: CreditNoteAmounts) -> None:
    nothing = Money.zero(credited.currency)
    added = tax_of(credited.lines, currency=credited.currency).added
    invoice = sum((line.taxable for line in credited.lines), added)
    left = invoice - sum((each.total for each in credited.notes), nothing)
    if note.total.amount_minor > left.amount_minor:
        raise ValidationError(
            reason="CREDIT_EXCEEDS_INVOICE",
            message=f"a note of {note.total.decimal_string()} {credited.currency} is more than the "
            f"{left.decimal_string()} that is left of the invoice's total; take back less",
        )
