"""What invoices issued at a wrong price owe: corrected charges beside the invoiced ones.

An issued invoice never changes (R66). Where it charged too much a credit note is proposed, where it
charged too little a charge on the next invoice.

Example: tokens of January were invoiced at 0.03 and should have cost 0.02: 30.00 − 20.00 is to be
credited on the invoice of January.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from metering.money import Money
from metering.period import Period

_Place = tuple[Period, str]
"""Billing period and price."""


class Proposal(StrEnum):
    """How a difference is made good."""

    CREDIT_NOTE = "credit_note"
    """Too much was charged: a credit note on the invoices that did."""
    CHARGE = "charge"
    """Too little was charged: a charge on the next invoice."""


@dataclass(frozen=True, slots=True)
class ChargedLine:
    """An amount of one price for one billing period, invoiced or as it should have been."""

    price: str
    """Key of the price."""
    period: Period
    """Billing period in which the service began; of a fee in arrears, that of the fee."""
    amount: Money
    """What is charged."""
    number: str | None = None
    """Of the invoice that carries it; None: none does."""


@dataclass(frozen=True, slots=True)
class Correction:
    """A price that was charged wrongly in one billing period."""

    price: str
    """Key of the price."""
    period: Period
    """Which billing period."""
    numbers: tuple[str, ...]
    """Invoices that carry the price for the period, in order; empty: none does."""
    invoiced: Money
    """What they charge in all."""
    corrected: Money
    """What the corrected terms charge."""
    late: Money
    """Late usage that stands on no invoice yet: the next one charges it at the period's terms."""
    tax: Money | None = None
    """Of a credit note: tax on top that goes with the difference, by the rates of its invoices
    (R44), at most 0. None: not looked for, or a charge, which is taxed where it is made."""

    @property
    def difference(self) -> Money:
        """Returns corrected − invoiced − late; never zero."""
        return self.corrected - self.invoiced - self.late

    @property
    def proposal(self) -> Proposal:
        """How it is made good."""
        is_less = self.difference.amount_minor < 0
        return Proposal.CREDIT_NOTE if is_less else Proposal.CHARGE


def corrections_of(
    invoiced: Iterable[ChargedLine],
    corrected: Iterable[ChargedLine],
    *,
    currency: str,
    late: Iterable[ChargedLine] = (),
) -> tuple[Correction, ...]:
    """Returns every price and period whose charge differs, in order of time, then by price.

    The lines are read once, and only their sums are kept.

    Args:
        invoiced: what issued invoices charge, late usage and all.
        corrected: what the corrected terms charge for the same periods, late usage and all.
        currency: of all of them.
        late: late usage that stands on no invoice yet, as it will be charged.
    """
    nothing = Money.zero(currency)
    numbers: dict[_Place, set[str]] = defaultdict(set)
    sums: list[dict[_Place, Money]] = []
    for lines in (invoiced, corrected, late):
        amounts: dict[_Place, Money] = {}
        for line in lines:
            place = line.period, line.price
            amounts[place] = amounts.get(place, nothing) + line.amount
            if line.number is not None:
                numbers[place].add(line.number)
        sums.append(amounts)
    places = sorted({*sums[0], *sums[1], *sums[2]}, key=lambda place: (place[0].start, place[1]))
    found = (
        Correction(
            price,
            period,
            tuple(sorted(numbers[period, price])),
            *(amounts.get((period, price), nothing) for amounts in sums),
        )
        for period, price in places
    )
    return tuple(each for each in found if each.difference.amount_minor)
