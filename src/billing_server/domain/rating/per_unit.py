"""The `per_unit` price model: every unit costs the same.

Example: 1,234,567 tokens at 0.0000025 cost 3.0864175 (R22).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from billing_server.domain.fields import FieldReader, price
from billing_server.domain.rating.exact import multiply
from billing_server.domain.rating.price_model import ZERO, RatingStep
from metering.money import Exact
from metering.quantity import plain_decimal


@dataclass(frozen=True, slots=True)
class PerUnit:
    """quantity × unit_price."""

    name: ClassVar[str] = "per_unit"
    flat_at_zero: ClassVar[Decimal] = ZERO

    unit_price: Decimal
    """Price of one unit, in major units of the currency, >= 0."""

    def rate(self, quantity: Exact) -> Exact:
        """Returns the exact amount for a quantity >= 0."""
        return multiply(quantity, self.unit_price)

    def explain(self, quantity: Exact) -> tuple[RatingStep, ...]:
        """Returns the one step, or none for a quantity of 0."""
        if quantity == 0:
            return ()
        step = RatingStep(
            from_quantity=ZERO,
            to_quantity=None,
            quantity=quantity,
            unit_price=self.unit_price,
            flat_price=ZERO,
            amount=self.rate(quantity),
        )
        return (step,)

    def to_fields(self) -> Mapping[str, object]:
        """Returns the fields as a catalog file writes them."""
        return {"unit_price": plain_decimal(self.unit_price)}


def read_per_unit(fields: FieldReader) -> PerUnit | None:
    """Reads the model's own fields; None where one is wrong, which is noted."""
    unit_price = fields.required("unit_price", price)
    return None if unit_price is None else PerUnit(unit_price)
