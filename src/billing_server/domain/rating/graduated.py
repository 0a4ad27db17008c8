"""The `graduated` price model: each tier charges its own part of the quantity.

Example: 0.01 up to 1,000, 0.008 up to 10,000, then 0.005. 15,000 units cost
1,000 × 0.01 + 9,000 × 0.008 + 5,000 × 0.005 = 107 (R24).
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, Inexact
from typing import ClassVar

from billing_server.domain.fields import FieldReader
from billing_server.domain.rating.exact import multiply_add, subtract
from billing_server.domain.rating.price_model import ZERO, RatingStep
from billing_server.domain.rating.tier import Tier, read_tiers, tier_bounds, tiers_to_fields
from metering.money import EXACT_CONTEXT, Exact


@dataclass(frozen=True, slots=True)
class Graduated:
    """Tiers with a unit price for what lies in them and a flat price for entering them.

    A tier holds what is above the bound before it and up to its own bound, inclusive (R23). Its
    flat price is charged once, when the tier is entered (R26); a quantity of 0 enters none (R27).
    """

    name: ClassVar[str] = "graduated"

    tiers: tuple[Tier, ...]
    """Bounds strictly ascending; the last, and only the last, without a bound."""
    _bounds: tuple[Decimal, ...] = field(init=False, repr=False, compare=False)
    _lines: tuple[tuple[Decimal, Decimal], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_bounds", tier_bounds(self.tiers))
        object.__setattr__(self, "_lines", _straight_lines(self.tiers))

    @property
    def flat_at_zero(self) -> Decimal:
        """The first tier's flat price."""
        return self.tiers[0].flat_price

    def rate(self, quantity: Exact) -> Exact:
        """Returns the exact amount for a quantity >= 0.

        Inside a tier the amount is a straight line over the quantity, so that a single
        multiplication and addition do, however many tiers lie below.
        """
        if quantity <= 0:
            return ZERO
        slope, intercept = self._lines[bisect_left(self._bounds, quantity)]
        return multiply_add(quantity, slope, intercept)

    def explain(self, quantity: Exact) -> tuple[RatingStep, ...]:
        """Returns one step for each tier that was entered."""
        steps = []
        low: Exact = ZERO
        for tier in self.tiers:
            if quantity <= low:
                break
            high = quantity if tier.up_to is None else min(quantity, tier.up_to)
            part = subtract(high, low)
            step = RatingStep(
                from_quantity=low,
                to_quantity=tier.up_to,
                quantity=part,
                unit_price=tier.unit_price,
                flat_price=tier.flat_price,
                amount=multiply_add(part, tier.unit_price, tier.flat_price),
            )
            steps.append(step)
            low = high
        return tuple(steps)

    def to_fields(self) -> Mapping[str, object]:
        """Returns the fields as a catalog file writes them."""
        return tiers_to_fields(self.tiers)


def _straight_lines(tiers: tuple[Tier, ...]) -> tuple[tuple[Decimal, Decimal], ...]:
    """Returns slope and intercept of the amount inside each tier."""
    lines = []
    low = ZERO
    amount_below = ZERO
    for tier in tiers:
        amount_at_entry = EXACT_CONTEXT.add(amount_below, tier.flat_price)
        below = EXACT_CONTEXT.multiply(low, tier.unit_price)
        intercept = EXACT_CONTEXT.subtract(amount_at_entry, below)
        lines.append((tier.unit_price, intercept))
        if tier.up_to is not None:
            amount_below = EXACT_CONTEXT.fma(tier.up_to, tier.unit_price, intercept)
            low = tier.up_to
    return tuple(lines)


def read_graduated(fields: FieldReader) -> Graduated | None:
    """Reads the model's own fields; None where one is wrong, which is noted."""
    tiers = read_tiers(fields)
    if tiers is None:
        return None
    try:
        return Graduated(tiers)
    except Inexact:
        note_too_precise(fields)
        return None


def note_too_precise(fields: FieldReader) -> None:
    """Notes tiers that need more digits than exact arithmetic keeps."""
    problem = (
        "bounds and prices have more digits together than can be added up exactly; leave out "
        "digits that no amount of money needs"
    )
    fields.note("tiers", reason="TIERS_TOO_PRECISE", problem=problem)
