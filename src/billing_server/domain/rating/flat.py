"""The `flat` price model: one amount for any usage.

Example: 25 a period for whoever uses the batch API at all: 0 calls cost 0, 1 call costs 25, and so
do 90,000.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from billing_server.domain.fields import FieldReader, price
from billing_server.domain.rating.price_model import ZERO, RatingStep
from metering.money import Exact
from metering.quantity import plain_decimal


@dataclass(frozen=True, slots=True)
class Flat:
    """The amount, where there is usage."""

    name: ClassVar[str] = "flat"

    amount: Decimal
    """In major units of the currency, >= 0."""

    @property
    def flat_at_zero(self) -> Decimal:
        """The amount."""
        return self.amount

    def rate(self, quantity: Exact) -> Exact:
        """Returns the amount for a quantity > 0, nothing for none (R27)."""
        return self.amount if quantity > 0 else ZERO

    def explain(self, quantity: Exact) -> tuple[RatingStep, ...]:
        """Returns the one step, or none for a quantity of 0."""
        if quantity <= 0:
            return ()
        return (RatingStep(ZERO, None, quantity, ZERO, self.amount, self.amount),)

    def to_fields(self) -> Mapping[str, object]:
        """Returns the fields as a catalog file writes them."""
        return {"amount": plain_decimal(self.amount)}


def read_flat(fields: FieldReader) -> Flat | None:
    """Reads the model's own fields; None where one is wrong, which is noted."""
    amount = fields.required("amount", price)
    return None if amount is None else Flat(amount)
