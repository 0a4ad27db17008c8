"""From the usage of a segment to the exact amount of a usage price, in the order of R33.

Conversion, included units, model, share of the segment, discount, maximum, minimum. Each of them is
told apart in the explanation, whose steps add up to the amount.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Final

from billing_server.domain.catalog.model import Meter, Proratable, UsagePrice
from billing_server.domain.rating.adjustments import (
    Adjustment,
    Maximum,
    Minimum,
    adjustment_step,
)
from billing_server.domain.rating.conversion import Conversion
from billing_server.domain.rating.event_rating import EventRating
from billing_server.domain.rating.exact import add, multiply, subtract
from billing_server.domain.rating.price_model import (
    ZERO,
    EventModel,
    EventUsage,
    PriceModel,
    RatingStep,
    StepKind,
)
from metering.errors import InvariantError
from metering.money import Exact
from metering.quantity import round_quantity

WHOLE: Final = Fraction(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedUsage:
    """Rated usage with everything that an invoice line shows of it."""

    quantity: Exact
    """Used, in the meter's unit."""
    included_quantity: Exact
    """The part that was included and costs nothing, in converted units where there are such."""
    billable_quantity: Exact
    """What the model saw: the (converted) quantity − included_quantity."""
    amount_exact: Exact
    """In major units, unrounded."""
    amount_share: Fraction
    """What the model's amount was multiplied by; 1 for meters whose quantities add up (R17)."""
    steps: tuple[RatingStep, ...]
    """Explanation; the amounts add up to `amount_exact`."""


@dataclass(frozen=True, slots=True)
class UsageTerms:
    """A usage price compiled for one segment: made once, then rated many times.

    A price that `is_rated_by_event` is rated by `rate_events`, any other by `rate`.
    """

    model: PriceModel
    """The price's model."""
    included: Decimal = ZERO
    """Units included in this segment, in the meter's unit or, where there is one, the converted."""
    included_whole: Decimal | None = None
    """Units that a whole period includes, where the segment has a part; None: it has all."""
    amount_share: Fraction = WHOLE
    """Share of the model's amount that is charged in this segment."""
    conversion: Conversion | None = None
    """What is done to the quantity first; None: nothing."""
    adjustments: tuple[Adjustment, ...] = ()
    """What is done to the amount last, in their order, scaled to this segment."""
    amount_without_usage: Decimal = ZERO
    """What the model charges where nothing is billable, in major units (R27)."""
    _rate: Callable[[Exact], Exact] = field(init=False, repr=False, compare=False)
    _is_adjusted: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        model = self.model
        rate = _needs_events if isinstance(model, EventModel) else model.rate
        object.__setattr__(self, "_rate", rate)
        # Identity is far quicker than comparing fractions, and true for nearly all.
        is_adjusted = bool(self.adjustments) or self.amount_share is not WHOLE
        object.__setattr__(self, "_is_adjusted", is_adjusted)

    @property
    def is_rated_by_event(self) -> bool:
        """Whether the price needs the segment's events in the order (event_time, event_id)."""
        return isinstance(self.model, EventModel)

    @property
    def amount_quantity(self) -> str | None:
        """The quantity of an event that is its `EventUsage.amount`; None: it needs none."""
        return self.model.amount_quantity if isinstance(self.model, EventModel) else None

    def without_minimum(self) -> "UsageTerms":
        """Returns the terms of an invoice that is not the last of its period (R34)."""
        kept = tuple(item for item in self.adjustments if not isinstance(item, Minimum))
        return replace(self, adjustments=kept)

    def rate(self, quantity: Exact) -> Exact:
        """Returns the exact amount of a quantity >= 0, in major units. The hot path.

        Raises:
            InvariantError: EVENTS_NEEDED for a price that is rated by event.
        """
        billable = quantity
        if self.conversion is not None:
            billable = self.conversion.convert(billable)
        if self.included:
            billable = subtract(billable, self.included)
        amount = self._rate(billable) if billable > 0 else self.amount_without_usage
        return self.adjusted(amount) if self._is_adjusted else amount

    def rate_events(self, events: Iterable[EventUsage]) -> Exact:
        """Returns the exact amount of events in the order (event_time, event_id).

        Raises:
            InvariantError: QUANTITY_NEEDED for a price that is rated by the total.
        """
        model = self.model
        if isinstance(model, EventModel) and self.conversion is None and not self.included:
            return self.adjusted(model.rate_events(events))  # Nothing lies between.
        rating = EventRating(self)
        for event in events:
            rating.take(event)
        return rating.amount()

    def explain(self, quantity: Exact) -> RatedUsage:
        """Returns the same amount as `rate` with its explanation."""
        model = self.model
        if isinstance(model, EventModel):
            raise _events_needed()
        converted = quantity if self.conversion is None else self.conversion.convert(quantity)
        # Corrections may have taken off more than was used: then nothing is left to charge.
        left = max(converted, ZERO)
        billable = subtract(left, min(left, self.included))
        steps = list(model.explain(billable))
        if billable <= 0 and self.amount_without_usage:
            steps.append(RatingStep.lump(StepKind.TIER, self.amount_without_usage))
        return self._explained(quantity, converted=converted, billable=billable, steps=steps)

    def explain_events(self, events: Iterable[EventUsage]) -> RatedUsage:
        """Returns the same amount as `rate_events` with its explanation."""
        model = self.model
        if not isinstance(model, EventModel):
            raise _needs_quantity(model)
        known = list(events)
        rating = EventRating(self)
        billable = [each for each in map(rating.billable, known) if each is not None]
        return self._explained(
            _total(known),
            converted=_total(self._converted_events(known)),
            # What was taken back may be more than what is left of the events.
            billable=max(_total(billable), ZERO),
            steps=list(model.explain_events(billable)),
        )

    def adjusted(self, amount: Exact) -> Exact:
        """Returns the model's amount after share, discount, maximum and minimum."""
        if self.amount_share is not WHOLE:
            amount = multiply(amount, self.amount_share)
        for adjustment in self.adjustments:
            amount = adjustment.apply(amount)
        return amount

    def _converted_events(self, events: Iterable[EventUsage]) -> Iterator[EventUsage]:
        conversion = self.conversion
        for event in events:
            yield (
                event
                if conversion is None
                else EventUsage(conversion.convert(event.quantity), event.amount)
            )

    def _first_steps(self, quantity: Exact, *, converted: Exact) -> list[RatingStep]:
        """Returns what comes before the model, for no amount."""
        steps: list[RatingStep] = []
        if self.conversion is not None:
            steps.append(_bare_step(StepKind.CONVERSION, before=quantity, after=converted))
        whole = self.included_whole
        if whole is not None:
            steps.append(_bare_step(StepKind.INCLUDED, before=whole, after=self.included))
        return steps

    def _explained(
        self, quantity: Exact, *, converted: Exact, billable: Exact, steps: list[RatingStep]
    ) -> RatedUsage:
        """Returns the explanation that begins with the model's own steps."""
        amount: Exact = ZERO
        for step in steps:
            amount = add(amount, step.amount)
        steps[:0] = self._first_steps(quantity, converted=converted)
        if self.amount_share is not WHOLE:
            shared = multiply(amount, self.amount_share)
            steps.append(RatingStep.lump(StepKind.PRORATION, subtract(shared, amount)))
            amount = shared
        for adjustment in self.adjustments:
            adjusted = adjustment.apply(amount)
            if adjusted != amount:
                steps.append(adjustment_step(adjustment, before=amount, after=adjusted))
            amount = adjusted
        return RatedUsage(
            quantity=quantity,
            included_quantity=subtract(max(converted, ZERO), billable),
            billable_quantity=billable,
            amount_exact=amount,
            amount_share=self.amount_share,
            steps=tuple(steps),
        )


def _bare_step(kind: StepKind, *, before: Exact, after: Exact) -> RatingStep:
    """Returns a step that makes one quantity of another, and no amount."""
    return RatingStep(before, after, ZERO, ZERO, ZERO, ZERO, kind)


def usage_terms(
    price: UsagePrice,
    *,
    meter: Meter,
    share: Fraction = WHOLE,
    maximum_share: Fraction | None = None,
) -> UsageTerms:
    """Returns a price compiled for a segment (R17).

    Args:
        price: a price on the meter.
        meter: the meter that it prices.
        share: of the segment in its whole period, in the plan's proration unit, 0..1. Where
            quantities add up, it scales what is included, rounded half up to the meter's decimals;
            a maximum is no part of a whole, so there it scales the amount instead. The price's
            `prorate` says which of included, maximum and minimum are scaled.
        maximum_share: scales the maximum in the share's place, > 0 (`Segment.maximum_share`).
    """
    is_whole = share == 1
    part = WHOLE if is_whole else share
    included = price.included
    is_additive = meter.aggregation.is_additive
    is_scaled = not is_whole and is_additive and Proratable.INCLUDED in price.prorate
    if is_scaled:
        included = scale_included(included, share=share, meter=meter)
    return UsageTerms(
        price.model,
        included,
        included_whole=price.included if is_scaled and price.included else None,
        amount_share=WHOLE if is_whole or is_additive else share,
        conversion=price.convert,
        adjustments=_adjustments(price, share=part, maximum_share=maximum_share or part),
        amount_without_usage=price.model.flat_at_zero if price.charge_flat_at_zero else ZERO,
    )


def _adjustments(
    price: UsagePrice, *, share: Fraction, maximum_share: Fraction
) -> tuple[Adjustment, ...]:
    adjustments: list[Adjustment] = []
    if price.discount is not None:
        adjustments.append(price.discount if share is WHOLE else price.discount.for_share(share))
    if price.maximum is not None:
        part = maximum_share if Proratable.MAXIMUM in price.prorate else WHOLE
        adjustments.append(Maximum(_part(price.maximum, part)))
    if price.minimum:
        part = share if Proratable.MINIMUM in price.prorate else WHOLE
        adjustments.append(Minimum(_part(price.minimum, part)))
    return tuple(adjustments)


def _part(amount: Decimal, share: Fraction) -> Exact:
    return amount if share is WHOLE else multiply(amount, share)


def rate_usage_price(
    price: UsagePrice, *, quantity: Exact, meter: Meter, share: Fraction = WHOLE
) -> RatedUsage:
    """Rates one quantity once, with its explanation; the same as `usage_terms(…).explain(…)`."""
    return usage_terms(price, meter=meter, share=share).explain(quantity)


def scale_included(included: Decimal, *, share: Fraction, meter: Meter) -> Decimal:
    """Returns included × share, rounded half up to the meter's decimals (R17)."""
    return round_quantity(Fraction(included) * share, decimals=meter.decimals)


def _total(events: Iterable[EventUsage]) -> Exact:
    total: Exact = ZERO
    for event in events:
        total = add(total, event.quantity)
    return total


def _needs_events(_quantity: Exact) -> Exact:
    raise _events_needed()


def _events_needed() -> InvariantError:
    return InvariantError(
        reason="EVENTS_NEEDED", message="this price is rated by event; hand in the events in order"
    )


def _needs_quantity(model: PriceModel) -> InvariantError:
    return InvariantError(
        reason="QUANTITY_NEEDED",
        message=f"a {model.name} price is rated by the total; hand in the quantity",
    )
