"""What the tax of a document comes to: for each rate on the sum of its lines, rounded once (R43).

Examples, at 20 %: lines of 68.33, 68.33, 57.50 and 85.00 are 279.16 together; 55.832 is rounded to
55.83, which makes 334.99. Rounded for each line it would be 335.00. Of a price of 119.00 with 19 %
inside, 119.00 − 119.00 / 1.19 = 19.00 is tax.

`tax_of` is all that the rest of the product asks of a tax calculator: lines in, amounts out.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from billing_server.domain.tax.rate import NOT_TAXED, AppliedRate, LineTax, TaxBehavior
from metering.money import Money, round_to_minor

RateOnDocument = tuple[AppliedRate, TaxBehavior]
"""What a tax amount is for: lines with the tax inside and without it are not one sum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxableLine:
    """What of a line its tax depends on."""

    amount: Money
    """Of the line; an inclusive one has its tax inside. Below zero where it undoes another."""
    discount_share: Money
    """Part of the document's discounts that falls on the line."""
    tax: LineTax = NOT_TAXED
    """How it is taxed."""

    @property
    def taxable(self) -> Money:
        """Returns the amount less its share of the discounts."""
        return self.amount - self.discount_share


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxAmount:
    """What one rate comes to on a document."""

    rate: AppliedRate
    """The rate, as it was when the document was made."""
    behavior: TaxBehavior
    """Whether the amount is added to the document's total or stands inside it."""
    base: Money
    """What it is a part of: without any tax, less discounts."""
    amount: Money
    """Rounded half up, once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentTax:
    """All tax of one document."""

    amounts: tuple[TaxAmount, ...]
    """One for each rate and behaviour, by name and key; tax on top before tax inside."""
    added: Money
    """Σ amounts on top of the lines; what stands inside them is not added again."""

    @classmethod
    def of(cls, amounts: Sequence[TaxAmount], *, currency: str) -> "DocumentTax":
        """Returns amounts with their sum."""
        return cls(
            amounts=tuple(amounts), added=_sum(amounts, TaxBehavior.EXCLUSIVE, currency=currency)
        )

    @property
    def included(self) -> Money:
        """Returns Σ amounts that stand inside the lines."""
        return _sum(self.amounts, TaxBehavior.INCLUSIVE, currency=self.added.currency)


def tax_of(lines: Sequence[TaxableLine], *, currency: str) -> DocumentTax:
    """Returns the tax of the lines of one document.

    Args:
        lines: of an invoice or a credit note, in one currency.
        currency: ISO 4217 code of them all.
    """
    taxed: dict[RateOnDocument, list[TaxableLine]] = defaultdict(list)
    for line in lines:
        for rate in line.tax.rates:
            taxed[rate, line.tax.behavior].append(line)
    amounts = tuple(
        TaxAmount(
            rate=rate,
            behavior=behavior,
            base=_base(found, behavior, currency=currency),
            amount=rounded(
                sum((exact_tax(line, rate) for line in found), Fraction(0)), currency=currency
            ),
        )
        for (rate, behavior), found in sorted(taxed.items(), key=_order)
    )
    return DocumentTax.of(amounts, currency=currency)


def merged_amounts(documents: Sequence[Sequence[TaxAmount]]) -> tuple[TaxAmount, ...]:
    """Returns the amounts of several documents together: each stays rounded by itself."""
    merged: dict[RateOnDocument, TaxAmount] = {}
    for each in (amount for document in documents for amount in document):
        known = merged.get((each.rate, each.behavior))
        merged[each.rate, each.behavior] = (
            each
            if known is None
            else replace(known, base=known.base + each.base, amount=known.amount + each.amount)
        )
    return tuple(amount for _, amount in sorted(merged.items(), key=_order))


def exact_tax(line: TaxableLine, rate: AppliedRate) -> Fraction:
    """Returns one rate's tax of one line, in minor units, not rounded.

    A line with tax inside is divided by 1 + Σ rates first: all its rates have the same base.
    """
    return Fraction(line.taxable.amount_minor) * _share(line, rate)


def rounded(exact: Fraction, *, currency: str) -> Money:
    """Rounds exact minor units half up, away from zero below it (R39): the one place of it here."""
    return Money(round_to_minor(exact, digits=0), currency)


def _share(line: TaxableLine, rate: AppliedRate) -> Fraction:
    share = Fraction(rate.rate)
    if line.tax.behavior is TaxBehavior.EXCLUSIVE:
        return share
    return share / (1 + sum((Fraction(each.rate) for each in line.tax.rates), Fraction(0)))


def _base(lines: Sequence[TaxableLine], behavior: TaxBehavior, *, currency: str) -> Money:
    """Returns the base of a rate: where tax stands inside, what is left without all of it.

    The tax of each rate is rounded and the base is the rest, so that all of them add up to what the
    lines show.
    """
    taxable = sum((line.taxable for line in lines), Money.zero(currency))
    if behavior is TaxBehavior.EXCLUSIVE:
        return taxable
    inside: dict[AppliedRate, Fraction] = defaultdict(Fraction)
    for line in lines:
        for rate in line.tax.rates:
            inside[rate] += exact_tax(line, rate)
    return taxable - sum(
        (rounded(exact, currency=currency) for exact in inside.values()), Money.zero(currency)
    )


def _sum(amounts: Sequence[TaxAmount], behavior: TaxBehavior, *, currency: str) -> Money:
    found = (each.amount for each in amounts if each.behavior is behavior)
    return sum(found, Money.zero(currency))


def _order(item: tuple[RateOnDocument, object]) -> tuple[str, str, str, Fraction]:
    rate, behavior = item[0]
    return behavior, rate.name, rate.key, Fraction(rate.rate)
