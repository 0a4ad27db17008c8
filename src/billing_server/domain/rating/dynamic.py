"""The `dynamic` price model: each event brings its price.

Example: the provider's cost of each call, in the event's quantity `provider_cost`, with a margin of
20 %: `amount: provider_cost`, `multiplier: "1.2"`. Calls of 0.05 and 0.10 cost
(0.05 + 0.10) × 1.2 = 0.18.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final

from billing_server.domain.fields import FieldReader, key_text, price
from billing_server.domain.rating.exact import add, multiply
from billing_server.domain.rating.price_model import ZERO, EventModel, EventUsage, RatingStep
from metering.money import Exact
from metering.quantity import plain_decimal

_ONE: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class Dynamic(EventModel):
    """Σ amounts that the events carry × multiplier."""

    name: ClassVar[str] = "dynamic"

    amount: str | None
    """The event's quantity that is money in major units; None: the meter's own."""
    multiplier: Decimal = _ONE
    """What each amount is multiplied by, >= 0; 1.2 adds a fifth."""

    @property
    def amount_quantity(self) -> str | None:
        """The event's quantity that is the price; None: the meter's own is."""
        return self.amount

    def rate_events(self, events: Iterable[EventUsage]) -> Exact:
        """Returns the exact amount of the events."""
        return multiply(self._sum(events), self.multiplier)

    def explain_events(self, events: Iterable[EventUsage]) -> tuple[RatingStep, ...]:
        """Returns the one step: the sum of what the events brought, times the multiplier."""
        brought = self._sum(events)
        if brought == 0:
            return ()
        amount = multiply(brought, self.multiplier)
        return (RatingStep(ZERO, None, brought, self.multiplier, ZERO, amount),)

    def to_fields(self) -> Mapping[str, object]:
        """Returns the fields as a catalog file writes them."""
        source = {} if self.amount is None else {"amount": self.amount}
        return source | {"multiplier": plain_decimal(self.multiplier)}

    def _sum(self, events: Iterable[EventUsage]) -> Exact:
        total: Exact = ZERO
        for event in events:
            total = add(total, event.quantity if self.amount is None else event.amount)
        return total


def read_dynamic(fields: FieldReader) -> Dynamic:
    """Reads the model's own fields; a wrong one is noted."""
    return Dynamic(
        fields.maybe("amount", key_text), fields.optional("multiplier", price, default=_ONE)
    )
