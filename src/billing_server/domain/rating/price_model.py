"""What a price model can do, whatever its file, and the steps that explain an amount.

A model is rated in one of two ways. Most need only the total of a segment (`QuantityModel`). A few
look at each event: a fee a transaction, free first transactions, a price that the event brings
(`EventModel`). Those are given the segment's events in the order (event_time, event_id), never in
the order of arrival, so that the amount does not depend on how usage travelled.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Final, Protocol

from metering.money import Exact

ZERO: Final = Decimal(0)


class StepKind(StrEnum):
    """What a step of an explanation did, in the order in which steps are taken (R33)."""

    CONVERSION = "conversion"
    """Usage became another quantity, `from` the used one `to` the converted one; costs nothing."""
    INCLUDED = "included"
    """Scaled what is included: from that of a whole period to that of the part."""
    TIER = "tier"
    """A part of the quantity was charged at one rate."""
    PACKAGE = "package"
    """`quantity` packages were charged, which hold what lies from 0 to `to`."""
    FREE = "free"
    """A part of the quantity was free by the model's own terms."""
    EVENT_FEE = "event_fee"
    """A fixed fee for each of `quantity` events."""
    EVENT_MINIMUM = "event_minimum"
    """Raised the events that cost less than the least that one may cost."""
    EVENT_MAXIMUM = "event_maximum"
    """Lowered the events that cost more than the most that one may cost."""
    PRORATION = "proration"
    """The segment is only a share of its period, and the meter's quantities do not add up (R17)."""
    DISCOUNT = "discount"
    """The price's own discount."""
    MAXIMUM = "maximum"
    """Lowered to the most that a period may cost."""
    MINIMUM = "minimum"
    """Raised to the least that a period costs."""
    GROUP = "group"
    """Left the part of one group, by quantity, of an amount that is rated for all together: from
    the group's quantity to that of all."""
    COMMITMENT = "commitment"
    """What a plan version commits to: `quantity` is its share of the period."""
    MINIMUM_SPEND = "minimum_spend"
    """The minimum of a plan version: `quantity` is its share of the period."""
    SPENT = "spent"
    """Took off what other lines charge, which is `to`, as far as it counts."""
    INVOICED = "invoiced"
    """Took off what earlier invoices charge for the same."""


@dataclass(frozen=True, slots=True)
class RatingStep:
    """One line of an explanation. The amounts of all steps add up to the exact amount."""

    from_quantity: Exact
    """Lower bound of the tier, exclusive, in the meter's unit (converted, if it is)."""
    to_quantity: Exact | None
    """Upper bound of the tier, inclusive; None: without end."""
    quantity: Exact
    """How much was charged at this rate; of which unit, the kind says."""
    unit_price: Exact
    """Price of one unit, in major units of the currency; a rate where the quantity is money."""
    flat_price: Exact
    """Charged once because the step was taken, in major units; negative where it lowers."""
    amount: Exact
    """quantity × unit_price + flat_price, exact, in major units of the currency."""
    kind: StepKind = StepKind.TIER
    """What the step did."""

    @classmethod
    def lump(cls, kind: StepKind, amount: Exact) -> "RatingStep":
        """Returns a step that adds an amount, or takes it off, for no quantity of its own."""
        return cls(ZERO, None, ZERO, ZERO, amount, amount, kind)


@dataclass(frozen=True, slots=True)
class EventUsage:
    """One usage event, as an `EventModel` sees it."""

    quantity: Exact
    """What the price's meter read of it, >= 0 of an event."""
    amount: Exact = ZERO
    """What the quantity `EventModel.amount_quantity` says, in major units; 0 where it is absent."""
    is_event: bool = True
    """Whether it is one: an adjustment by hand is not, pays no fee and may be below zero."""


class EventTally(Protocol):
    """What the events so far come to: enough to go on with the next ones, whatever their number."""

    def take(self, event: EventUsage) -> None:
        """Counts the next event in the order (event_time, event_id)."""
        ...

    def amount(self) -> Exact:
        """Returns the exact amount of the events so far, in major units."""
        ...

    def saved(self) -> list[str | None]:
        """Returns the tally as texts; equal tallies give equal texts."""
        ...

    def restore(self, saved: Sequence[str | None]) -> None:
        """Goes on from what `saved` gave, in a new tally of the same terms."""
        ...


class QuantityModel(Protocol):
    """A rule from the quantity of a segment to an exact amount."""

    name: ClassVar[str]
    """The word in a price's `model` field."""

    @property
    def flat_at_zero(self) -> Decimal:
        """Amount of no usage where the price has `charge_flat_at_zero`, in major units (R27)."""
        ...

    def rate(self, quantity: Exact) -> Exact:
        """Returns the exact amount for a quantity >= 0, in major units; 0 for none (R27)."""
        ...

    def explain(self, quantity: Exact) -> tuple[RatingStep, ...]:
        """Returns the steps whose amounts add up to exactly `rate(quantity)`."""
        ...

    def to_fields(self) -> Mapping[str, object]:
        """Returns the model's own fields as a catalog file writes them, in canonical form."""
        ...


class EventModel(ABC):
    """A rule from the events of a segment to an exact amount.

    A class and no protocol, because every rating asks which of the two a model is.
    """

    __slots__ = ()

    name: ClassVar[str]
    """The word in a price's `model` field."""
    flat_at_zero: ClassVar[Decimal] = ZERO
    """Without events nothing is charged."""

    @property
    def amount_quantity(self) -> str | None:
        """The event's quantity that is read as `EventUsage.amount`; None: none is."""
        return None

    @abstractmethod
    def tally(self) -> EventTally:
        """Returns the tally of no events."""

    def rate_events(self, events: Iterable[EventUsage]) -> Exact:
        """Returns the exact amount of events in the order (event_time, event_id)."""
        tally = self.tally()
        for event in events:
            tally.take(event)
        return tally.amount()

    @abstractmethod
    def explain_events(self, events: Iterable[EventUsage]) -> tuple[RatingStep, ...]:
        """Returns a few steps, however many events, that add up to `rate_events(events)`."""

    @abstractmethod
    def to_fields(self) -> Mapping[str, object]:
        """Returns the model's own fields as a catalog file writes them, in canonical form."""


PriceModel = QuantityModel | EventModel
"""A model of either way. One file and one row of the table each."""


def is_rated_by_event(model: PriceModel) -> bool:
    """Returns whether a model needs the segment's events one by one."""
    return isinstance(model, EventModel)
