"""The `dynamic` price model: each event brings its price.

Example: the provider's cost of each call, in the event's quantity `provider_cost`, with a margin of
20 %: `amount: provider_cost`, `multiplier: "1.2"`. Calls of 0.05 and 0.10 cost
(0.05 + 0.10) × 1.2 = 0.18.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final

from billing_server.domain.fields import FieldReader, key_text, price
from billing_server.domain.rating.exact import add, exact_from_text, exact_text, multiply
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

    def tally(self) -> "_Tally":
        """Returns the tally of no events."""
        return _Tally(self)

    def explain_events(self, events: Iterable[EventUsage]) -> tuple[RatingStep, ...]:
        """Returns the one step: the sum of what the events brought, times the multiplier."""
        tally = self.tally()
        for event in events:
            tally.take(event)
        brought = tally.payable
        if brought == 0:
            return ()
        amount = multiply(brought, self.multiplier)
        return (RatingStep(ZERO, None, brought, self.multiplier, ZERO, amount),)

    def to_fields(self) -> Mapping[str, object]:
        """Returns the fields as a catalog file writes them."""
        source = {} if self.amount is None else {"amount": self.amount}
        return source | {"multiplier": plain_decimal(self.multiplier)}


class _Tally:
    """What the events so far brought."""

    __slots__ = ("_terms", "brought")

    def __init__(self, terms: Dynamic) -> None:
        self._terms = terms
        self.brought: Exact = ZERO

    def take(self, event: EventUsage) -> None:
        """Counts the next event."""
        value = event.quantity if self._terms.amount is None else event.amount
        self.brought = add(self.brought, value)

    @property
    def payable(self) -> Exact:
        """What is charged of it: adjustments below zero charge nothing (R18)."""
        return max(self.brought, ZERO)

    def amount(self) -> Exact:
        """Returns the exact amount."""
        return multiply(self.payable, self._terms.multiplier)

    def saved(self) -> list[str | None]:
        """Returns the tally as text."""
        return [exact_text(self.brought)]

    def restore(self, saved: Sequence[str | None]) -> None:
        """Goes on from what `saved` gave."""
        self.brought = exact_from_text(saved[0] or "0")


def read_dynamic(fields: FieldReader) -> Dynamic:
    """Reads the model's own fields; a wrong one is noted."""
    return Dynamic(
        fields.maybe("amount", key_text), fields.optional("multiplier", price, default=_ONE)
    )
