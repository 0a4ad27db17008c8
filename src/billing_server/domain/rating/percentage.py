"""The `percentage` price model: a share of each transaction's amount.

The quantity is money: what was transacted. Example: 1.2 % and 0.10 a transaction, of which the
first 3, or the first 500, are free. After 200, 100 and 100, the fourth transaction of 50 costs
0.012 × 50 + 0.10 = 0.70.

With a rate and a free amount the total is enough. Any term of the single event makes the order
matter, and the price is rated by event (R31).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final

from billing_server.domain.fields import FieldReader, integer, price, quantity
from billing_server.domain.rating.exact import (
    add,
    exact_from_text,
    exact_text,
    multiply,
    multiply_add,
    subtract,
)
from billing_server.domain.rating.price_model import (
    ZERO,
    EventModel,
    EventUsage,
    RatingStep,
    StepKind,
)
from billing_server.domain.rating.rates import rate_fraction
from metering.money import Exact
from metering.quantity import plain_decimal

FREE_EVENTS_MAX: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Percentage:
    """(quantity − free amount) × rate, whatever the events that it came in."""

    name: ClassVar[str] = "percentage"
    flat_at_zero: ClassVar[Decimal] = ZERO

    share: Decimal
    """The rate: a fraction from 0 to 1 of the quantity, which is money in major units."""
    free_amount: Decimal = ZERO
    """The first so much money is free, major units, >= 0."""

    def rate(self, quantity: Exact) -> Exact:
        """Returns the exact amount for a quantity >= 0."""
        if self.free_amount:
            if quantity <= self.free_amount:
                return ZERO
            quantity = subtract(quantity, self.free_amount)
        return multiply(quantity, self.share)

    def explain(self, quantity: Exact) -> tuple[RatingStep, ...]:
        """Returns what was free and what was charged; nothing for a quantity of 0."""
        free = min(quantity, self.free_amount)
        charged = _share_steps(subtract(quantity, free), self.share, low=free)
        return (*_free_steps(free), *charged)

    def to_fields(self) -> Mapping[str, object]:
        """Returns the fields as a catalog file writes them; a term that is not set is left out."""
        free = {"free_amount": plain_decimal(self.free_amount)} if self.free_amount else {}
        return {"rate": plain_decimal(self.share)} | free


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentageByEvent(EventModel):
    """For each event that is not free: amount × rate + fee, held between a least and a most."""

    name: ClassVar[str] = "percentage"

    share: Decimal
    """The rate: a fraction from 0 to 1 of each event's quantity, which is money in major units."""
    fixed_per_event: Decimal = ZERO
    """Fee of each event that is charged, major units, >= 0."""
    free_events: int | None = None
    """The first so many events are free; None: this frees none."""
    free_amount: Decimal | None = None
    """The first so much money is free, major units; None: this frees none. With both, events are
    free until one of the two is used up."""
    minimum_per_event: Decimal | None = None
    """Least that an event costs that is charged, major units; None: no least."""
    maximum_per_event: Decimal | None = None
    """Most that an event costs, major units; None: no most."""

    def tally(self) -> "_Tally":
        """Returns the tally of no events."""
        return _Tally(self)

    def explain_events(self, events: Iterable[EventUsage]) -> tuple[RatingStep, ...]:
        """Returns what was free, the share, the fees, and what least and most changed."""
        tally = _Tally(self)
        for event in events:
            tally.take(event)
        return tally.steps()

    def to_fields(self) -> Mapping[str, object]:
        """Returns the fields as a catalog file writes them; terms that are not set are left out."""
        terms = {
            "fixed_per_event": self.fixed_per_event or None,
            "free_events": self.free_events,
            "free_amount": self.free_amount,
            "minimum_per_event": self.minimum_per_event,
            "maximum_per_event": self.maximum_per_event,
        }
        written = {name: plain_decimal(term) for name, term in terms.items() if term is not None}
        return {"rate": plain_decimal(self.share)} | written


class _Tally:
    """What the events so far come to."""

    __slots__ = (
        "_amount_left",
        "_charged",
        "_charged_count",
        "_cut",
        "_events_left",
        "_free",
        "_raised",
        "_terms",
    )

    def __init__(self, terms: PercentageByEvent) -> None:
        self._terms = terms
        # None: not limited by this one. Free ends for good as soon as either is used up.
        has_free = terms.free_events is not None or terms.free_amount is not None
        self._events_left = terms.free_events if has_free else 0
        self._amount_left: Exact | None = terms.free_amount
        self._charged: Exact = ZERO
        self._charged_count = 0
        self._free: Exact = ZERO
        self._raised: Exact = ZERO
        self._cut: Exact = ZERO

    def take(self, event: EventUsage) -> None:
        """Counts the next event."""
        charged = self._after_free(event)
        if charged is None:
            return
        terms = self._terms
        self._charged = add(self._charged, charged)
        if not event.is_event:
            return
        self._charged_count += 1
        least, most = terms.minimum_per_event, terms.maximum_per_event
        if least is None and most is None:
            return
        cost = multiply_add(charged, terms.share, terms.fixed_per_event)
        if most is not None and cost > most:
            self._cut = add(self._cut, subtract(cost, most))
        elif least is not None and cost < least:
            self._raised = add(self._raised, subtract(least, cost))

    def _after_free(self, event: EventUsage) -> Exact | None:
        """Returns the part of an event that is charged; None where the whole event is free."""
        value = event.quantity
        if self._events_left == 0:
            return value
        left = self._amount_left
        if left is not None and value > left:
            self._free = add(self._free, left)
            self._events_left = 0
            return subtract(value, left)
        self._free = add(self._free, value)
        if self._events_left is not None and event.is_event:
            self._events_left -= 1
        if left is not None:
            self._amount_left = subtract(left, value)
            if self._amount_left == 0:
                self._events_left = 0
        return None

    def saved(self) -> list[str | None]:
        """Returns the tally as texts."""
        counts = (self._events_left, self._charged_count)
        sums = (self._amount_left, self._charged, self._free, self._raised, self._cut)
        return [
            *(None if count is None else str(count) for count in counts),
            *(None if value is None else exact_text(value) for value in sums),
        ]

    def restore(self, saved: Sequence[str | None]) -> None:
        """Goes on from what `saved` gave."""
        events_left, charged_count, amount_left, *sums = saved
        self._events_left = None if events_left is None else int(events_left)
        self._charged_count = int(charged_count or 0)
        self._amount_left = None if amount_left is None else exact_from_text(amount_left)
        self._charged, self._free, self._raised, self._cut = (
            exact_from_text(text or "0") for text in sums
        )

    @property
    def _payable(self) -> Exact:
        """What the share is taken of: adjustments below zero charge nothing (R18)."""
        return max(self._charged, ZERO)

    def amount(self) -> Exact:
        """Returns the exact amount."""
        before = self._before_cut()
        return subtract(before, self._cut_of(before))

    def _before_cut(self) -> Exact:
        """Returns share, fees and what single events were raised by."""
        terms = self._terms
        fees = multiply(Decimal(self._charged_count), terms.fixed_per_event)
        return add(multiply_add(self._payable, terms.share, fees), self._raised)

    def _cut_of(self, amount: Exact) -> Exact:
        """Returns what single events were lowered by, at most what is there.

        An adjustment takes its share off the whole, of which an event over its most pays less: the
        two together may be more than what was charged, which then is nothing (R18).
        """
        return min(self._cut, amount)

    def steps(self) -> tuple[RatingStep, ...]:
        """Returns the steps that add up to the amount."""
        terms = self._terms
        steps = list(_free_steps(self._free))
        steps.extend(_share_steps(self._payable, terms.share, low=self._free))
        if self._charged_count and terms.fixed_per_event:
            count = Decimal(self._charged_count)
            fees = multiply(count, terms.fixed_per_event)
            fee = terms.fixed_per_event
            steps.append(RatingStep(ZERO, None, count, fee, ZERO, fees, StepKind.EVENT_FEE))
        if self._raised:
            steps.append(RatingStep.lump(StepKind.EVENT_MINIMUM, self._raised))
        if cut := self._cut_of(self._before_cut()):
            steps.append(RatingStep.lump(StepKind.EVENT_MAXIMUM, subtract(ZERO, cut)))
        return tuple(steps)


def _free_steps(quantity: Exact) -> tuple[RatingStep, ...]:
    if quantity == 0:
        return ()
    return (RatingStep(ZERO, quantity, quantity, ZERO, ZERO, ZERO, StepKind.FREE),)


def _share_steps(quantity: Exact, share: Decimal, *, low: Exact = ZERO) -> tuple[RatingStep, ...]:
    if quantity == 0:
        return ()
    amount = multiply(quantity, share)
    return (RatingStep(low, None, quantity, share, ZERO, amount),)


def read_percentage(fields: FieldReader) -> Percentage | PercentageByEvent | None:
    """Reads the model's own fields; None where one is wrong, which is noted."""
    share = fields.required("rate", rate_fraction)
    fixed = fields.optional("fixed_per_event", price, default=ZERO)
    # Nothing free is the same as no such term: it does not use up the other one.
    free_events = fields.maybe("free_events", integer(low=0, high=FREE_EVENTS_MAX)) or None
    free_amount = fields.maybe("free_amount", quantity) or None
    least = fields.maybe("minimum_per_event", price)
    most = fields.maybe("maximum_per_event", price)
    if least is not None and most is not None and least > most:
        problem = (
            f"{plain_decimal(least)} is above maximum_per_event {plain_decimal(most)}; "
            "write a minimum that is at most the maximum"
        )
        fields.note("minimum_per_event", reason="MINIMUM_ABOVE_MAXIMUM", problem=problem)
    if share is None:
        return None
    if not fixed and free_events is None and least is None and most is None:
        return Percentage(share, free_amount or ZERO)
    return PercentageByEvent(
        share=share,
        fixed_per_event=fixed,
        free_events=free_events,
        free_amount=free_amount,
        minimum_per_event=least,
        maximum_per_event=most,
    )
