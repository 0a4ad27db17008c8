"""What every price model can do, whatever its file, and the steps that explain an amount."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final, Protocol

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class RatingStep:
    """One line of an explanation: the part of a quantity that was charged at one rate."""

    from_quantity: Decimal
    """Lower bound of the tier, exclusive, in the meter's unit."""
    to_quantity: Decimal | None
    """Upper bound of the tier, inclusive; None: without end."""
    quantity: Decimal
    """How much of the quantity lies in this tier, in the meter's unit."""
    unit_price: Decimal
    """Price of one unit, in major units of the currency."""
    flat_price: Decimal
    """Charged once because the tier was entered, in major units of the currency."""
    amount: Decimal
    """quantity × unit_price + flat_price, exact, in major units of the currency."""


class PriceModel(Protocol):
    """A rule from a quantity to an exact amount. One file and one row of the table each."""

    name: ClassVar[str]
    """The word in a price's `model` field."""

    def rate(self, quantity: Decimal) -> Decimal:
        """Returns the exact amount for a quantity >= 0, in major units of the currency."""
        ...

    def explain(self, quantity: Decimal) -> tuple[RatingStep, ...]:
        """Returns the steps whose amounts add up to exactly `rate(quantity)`."""
        ...

    def to_fields(self) -> Mapping[str, object]:
        """Returns the model's own fields as a catalog file writes them, in canonical form."""
        ...
