"""One line a group: how the amount of a grouped price falls to its groups (R32).

With tiers per group each group is rated for itself. With shared tiers the price is rated once, on
all groups together, and its rounded amount is allocated to them by quantity, with the largest
remainder: so the lines add up to what the price comes to without groups, to the cent.

Example: 1,000 tokens of project a and 500 of b cost 107.00 together; a is charged 71.33, b 35.67.
"""

from collections.abc import Sequence
from fractions import Fraction

from billing_server.domain.rating.segment_usage import GroupUsage
from metering.money import Exact, Money, allocate

WHOLE_PART = Fraction(1)


def group_weights(groups: Sequence[GroupUsage]) -> tuple[Fraction, ...]:
    """Returns the part of the whole that falls to each group: by quantity, else equal parts.

    A quantity below zero, which adjustments may leave, takes no part.
    """
    quantities = [max(Fraction(group.quantity), Fraction(0)) for group in groups]
    total = sum(quantities, Fraction(0))
    if total == 0:
        return tuple(Fraction(1, len(groups)) for _ in groups)
    return tuple(quantity / total for quantity in quantities)


def allocated(amount: Money, *, groups: Sequence[GroupUsage]) -> tuple[Money, ...]:
    """Returns the amount of each group under shared tiers; they add up to the whole."""
    return allocate(amount, weights=group_weights(groups))


def part_of(value: Exact, weight: Fraction) -> Exact:
    """Returns a group's part of an exact amount or quantity."""
    return value if weight == WHOLE_PART else Fraction(value) * weight
