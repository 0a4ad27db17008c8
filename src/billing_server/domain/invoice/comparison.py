"""Why a charge is not what it was: how much of the difference is usage, and how much is price.

The new usage is rated by the old terms. From the old amount to that one, only the usage changed;
from there to the new amount, only the terms. So both effects add up to the difference, to the cent,
and a tier that was reached counts as usage and not as another price.

Example: 100 units at 0.10 became 150 at 0.12: 10.00 → 15.00 is usage (+5.00), 15.00 → 18.00 is
price (+3.00).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from metering.money import Exact, Money, RatedAmount, round_line, round_to_minor


class SplitMethod(StrEnum):
    """How a difference was split."""

    RERATED = "rerated"
    """The new usage was rated by the old terms."""
    AVERAGE_PRICE = "average_price"
    """The old terms do not rate this charge alone: the new usage at the old average price."""
    NEW = "new"
    """There was no charge before: all of it counts as usage."""
    GONE = "gone"
    """There is no charge any more: all of it counts as usage."""


@dataclass(frozen=True, slots=True)
class ComparedCharge:
    """What one price charged in one period."""

    quantity: Exact
    """Units used; of a fee, how many times it was charged."""
    amount: Money
    """What was charged for them."""
    rate: Callable[[Exact], Exact] | None = None
    """What the terms of this charge make of a quantity, in major units; None: they need more."""


@dataclass(frozen=True, slots=True)
class ChargeChange:
    """A difference and its two effects, which add up to it."""

    usage_effect: Money
    """Of more or less usage, at the old terms."""
    price_effect: Money
    """Of other terms, for the new usage: prices, included units, the length of the period."""
    method: SplitMethod
    """How they were told apart."""

    @property
    def difference(self) -> Money:
        """Returns new − old."""
        return self.usage_effect + self.price_effect


def split_change(
    before: ComparedCharge | None, after: ComparedCharge | None, *, currency: str
) -> ChargeChange:
    """Returns why a charge changed.

    Args:
        before: the old charge; None: there was none.
        after: the new charge; None: there is none.
        currency: of both.
    """
    nothing = Money.zero(currency)
    if before is None:
        amount = nothing if after is None else after.amount
        return ChargeChange(amount, nothing, SplitMethod.NEW)
    if after is None:
        return ChargeChange(-before.amount, nothing, SplitMethod.GONE)
    between = _rerated(before, quantity=after.quantity)
    method = SplitMethod.RERATED
    if between is None:
        between = _at_average_price(before, after=after)
        method = SplitMethod.AVERAGE_PRICE
    return ChargeChange(between - before.amount, after.amount - between, method)


def _rerated(before: ComparedCharge, *, quantity: Exact) -> Money | None:
    """Returns what the old terms make of a quantity; None where they do not even make the old."""
    if before.rate is None:
        return None
    currency = before.amount.currency
    if round_line(RatedAmount(before.rate(before.quantity), currency)) != before.amount:
        return None
    return round_line(RatedAmount(before.rate(quantity), currency))


def _at_average_price(before: ComparedCharge, *, after: ComparedCharge) -> Money:
    if not before.quantity:
        return after.amount
    average = Fraction(before.amount.amount_minor) / Fraction(before.quantity)
    exact = average * Fraction(after.quantity)
    return Money(round_to_minor(exact, digits=0), before.amount.currency)
