"""The `volume` price model: one tier, the one that holds the quantity, prices all of it.

Example: 0.01 up to 1,000, 0.008 up to 10,000, then 0.005. 10,000 units cost 10,000 × 0.008 = 80 and
10,001 cost 10,001 × 0.005 = 50.005: at a bound more usage may cost less (R25).
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

from billing_server.domain.fields import FieldReader
from billing_server.domain.rating.exact import multiply_add
from billing_server.domain.rating.price_model import ZERO, RatingStep
from billing_server.domain.rating.tier import Tier, read_tiers, tier_bounds, tiers_to_fields
from metering.money import Exact


@dataclass(frozen=True, slots=True)
class Volume:
    """quantity × unit price + flat price of the tier that holds the whole quantity (R23)."""

    name: ClassVar[str] = "volume"

    tiers: tuple[Tier, ...]
    """Bounds strictly ascending; the last, and only the last, without a bound."""
    _bounds: tuple[Decimal, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_bounds", tier_bounds(self.tiers))

    @property
    def flat_at_zero(self) -> Decimal:
        """The first tier's flat price."""
        return self.tiers[0].flat_price

    def rate(self, quantity: Exact) -> Exact:
        """Returns the exact amount for a quantity >= 0; nothing for none (R27)."""
        if quantity <= 0:
            return ZERO
        tier = self.tiers[bisect_left(self._bounds, quantity)]
        return multiply_add(quantity, tier.unit_price, tier.flat_price)

    def explain(self, quantity: Exact) -> tuple[RatingStep, ...]:
        """Returns the one step, which names the tier, or none for a quantity of 0."""
        if quantity <= 0:
            return ()
        position = bisect_left(self._bounds, quantity)
        tier = self.tiers[position]
        step = RatingStep(
            from_quantity=self._bounds[position - 1] if position else ZERO,
            to_quantity=tier.up_to,
            quantity=quantity,
            unit_price=tier.unit_price,
            flat_price=tier.flat_price,
            amount=self.rate(quantity),
        )
        return (step,)

    def to_fields(self) -> Mapping[str, object]:
        """Returns the fields as a catalog file writes them."""
        return tiers_to_fields(self.tiers)


def read_volume(fields: FieldReader) -> Volume | None:
    """Reads the model's own fields; None where one is wrong, which is noted."""
    tiers = read_tiers(fields)
    return None if tiers is None else Volume(tiers)
