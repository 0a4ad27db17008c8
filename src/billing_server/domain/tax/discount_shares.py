"""How a discount of the whole invoice falls on its lines, before their tax is formed (R43).

Example: 20.00 off lines of 70.00 and 30.00 are 14.00 and 6.00. Of three equal lines, 0.10 is 0.04,
0.03 and 0.03.
"""

from collections.abc import Sequence

from metering.errors import InvariantError
from metering.money import Money, allocate


def discount_shares(discount: Money, *, lines: Sequence[Money]) -> tuple[Money, ...]:
    """Returns each line's share, by what is left of the line, with the largest remainder.

    A share never takes more than its line, and a line below zero takes none.

    Args:
        discount: at least 0, at most what the lines above zero come to.
        lines: what each line comes to after its own discounts, in the discount's currency.

    Raises:
        InvariantError: DISCOUNT_ABOVE_LINES; a coupon takes off at most what is there (R70).
    """
    weights = [max(line.amount_minor, 0) for line in lines]
    if not 0 <= discount.amount_minor <= sum(weights):
        raise InvariantError(
            reason="DISCOUNT_ABOVE_LINES",
            message=f"a discount of {discount.decimal_string()} {discount.currency} does not fit "
            f"lines of {Money(sum(weights), discount.currency).decimal_string()}",
        )
    return allocate(discount, weights=weights)
