"""What usage costs the seller beside what it charges: for the operator, never on an invoice.

Example: 1,000,000 tokens charged 4.00 and bought at 0.0000025 each cost 2.50; the margin is 1.50,
37.5 % of the charge.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from billing_server.domain.rating.exact import multiply
from metering.money import Exact, Money, RatedAmount, round_line

WHOLE = Fraction(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineMargin:
    """One usage line's cost and what is left of its charge."""

    line_index: int
    """Position of the line on the invoice, from 0."""
    unit_cost: Decimal
    """What one used unit costs the seller, in major units."""
    cost_exact: Exact
    """used quantity × unit_cost, before rounding."""
    cost: Money
    """The same, rounded once."""
    amount: Money
    """What the line charges."""

    @property
    def margin(self) -> Money:
        """Returns amount − cost; negative where usage is sold below its cost."""
        return self.amount - self.cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """Cost and margin of the usage lines whose cost is known."""

    lines: tuple[LineMargin, ...]
    """Those lines, in the order of the invoice."""
    cost: Money
    """Σ their costs."""
    amount: Money
    """Σ their amounts."""
    unknown_count: int
    """Usage lines whose cost is not known; they stand in no sum. >= 0."""

    @property
    def margin(self) -> Money:
        """Returns amount − cost."""
        return self.amount - self.cost

    @property
    def margin_rate(self) -> Fraction | None:
        """Returns the margin as a part of the amount; None where nothing is charged."""
        return rate_of(self.margin, amount=self.amount)


def line_margin(
    line_index: int,
    *,
    quantity: Decimal,
    amount: Money,
    unit_cost: Decimal,
    share: Fraction = WHOLE,
) -> LineMargin:
    """Returns the margin of one usage line.

    Args:
        line_index: position on the invoice.
        quantity: used, what was included among it: included units have to be bought as well.
        amount: what the line charges.
        unit_cost: what one unit costs the seller, >= 0.
        share: what the amount was multiplied by in a short segment (R17); the cost is as well.
    """
    exact: Exact = multiply(quantity, unit_cost)
    if share != WHOLE:
        exact = Fraction(exact) * share
    return LineMargin(
        line_index=line_index,
        unit_cost=unit_cost,
        cost_exact=exact,
        cost=round_line(RatedAmount(exact, amount.currency)),
        amount=amount,
    )


def margin_of(lines: Iterable[LineMargin], *, unknown_count: int, currency: str) -> Margin | None:
    """Returns the margin of an invoice; None where no cost is known."""
    known = tuple(lines)
    if not known:
        return None
    nothing = Money.zero(currency)
    return Margin(
        lines=known,
        cost=sum((line.cost for line in known), start=nothing),
        amount=sum((line.amount for line in known), start=nothing),
        unknown_count=unknown_count,
    )


def rate_of(margin: Money, *, amount: Money) -> Fraction | None:
    """Returns a margin as a part of an amount; None where nothing is charged."""
    return Fraction(margin.amount_minor, amount.amount_minor) if amount.amount_minor else None
