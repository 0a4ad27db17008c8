"""From the quantity of a segment to the exact amount of a usage price."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from billing_server.domain.catalog.model import Meter, UsagePrice
from billing_server.domain.rating.price_model import ZERO, PriceModel, RatingStep
from metering.money import EXACT_CONTEXT, Exact
from metering.quantity import unscale_quantity

WHOLE: Final = Fraction(1)


def rate(model: PriceModel, quantity: Decimal) -> Decimal:
    """Returns the exact amount of a quantity >= 0, without its explanation."""
    return model.rate(quantity)


def explain(model: PriceModel, quantity: Decimal) -> tuple[RatingStep, ...]:
    """Returns the steps whose amounts add up to `rate(model, quantity)`."""
    return model.explain(quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedUsage:
    """A rated quantity with everything that an invoice line shows of it."""

    quantity: Decimal
    """Used, in the meter's unit."""
    included_quantity: Decimal
    """The part that was included and costs nothing."""
    billable_quantity: Decimal
    """quantity − included_quantity: what the model saw."""
    amount_exact: Exact
    """In major units, unrounded, after `amount_share`."""
    amount_share: Fraction
    """What the model's amount was multiplied by; 1 for meters whose quantities add up (R17)."""
    steps: tuple[RatingStep, ...]
    """Explanation; the amounts add up to the model's amount, before `amount_share`."""


@dataclass(frozen=True, slots=True)
class UsageTerms:
    """A usage price compiled for one segment: made once, then rated many times."""

    model: PriceModel
    """The price's model."""
    included: Decimal
    """Units included in this segment, in the meter's unit."""
    amount_share: Fraction
    """Share of the model's amount that is charged in this segment."""

    def rate(self, quantity: Decimal) -> Exact:
        """Returns the exact amount of a quantity >= 0, in major units. The hot path."""
        billable = EXACT_CONTEXT.subtract(quantity, self.included) if self.included else quantity
        if billable <= 0:
            return ZERO
        amount = self.model.rate(billable)
        if self.amount_share is WHOLE:  # Far quicker than comparing fractions, for nearly all.
            return amount
        return Fraction(amount) * self.amount_share

    def explain(self, quantity: Decimal) -> RatedUsage:
        """Returns the same amount with its explanation."""
        included = min(quantity, self.included)
        billable = EXACT_CONTEXT.subtract(quantity, included)
        return RatedUsage(
            quantity=quantity,
            included_quantity=included,
            billable_quantity=billable,
            amount_exact=self.rate(quantity),
            amount_share=self.amount_share,
            steps=self.model.explain(billable),
        )


def usage_terms(price: UsagePrice, *, meter: Meter, share: Fraction = WHOLE) -> UsageTerms:
    """Returns a price compiled for a segment (R17).

    Args:
        price: a price on the meter.
        meter: the meter that it prices.
        share: of the segment in its whole period, in the plan's proration unit, 0..1. Where
            quantities add up, it scales what is included, rounded half up to the meter's decimals;
            a maximum is no part of a whole, so there it scales the amount instead.
    """
    if share == 1:
        return UsageTerms(price.model, price.included, WHOLE)
    if meter.aggregation.is_additive:
        return UsageTerms(
            price.model, scale_included(price.included, share=share, meter=meter), WHOLE
        )
    return UsageTerms(price.model, price.included, share)


def rate_usage_price(
    price: UsagePrice, *, quantity: Decimal, meter: Meter, share: Fraction = WHOLE
) -> RatedUsage:
    """Rates one quantity once, with its explanation; the same as `usage_terms(…).explain(…)`."""
    return usage_terms(price, meter=meter, share=share).explain(quantity)


def scale_included(included: Decimal, *, share: Fraction, meter: Meter) -> Decimal:
    """Returns included × share, rounded half up to the meter's decimals (R17)."""
    exact = Fraction(included) * share * 10**meter.decimals
    scaled, rest = divmod(exact.numerator, exact.denominator)
    if rest * 2 >= exact.denominator:
        scaled += 1
    return unscale_quantity(scaled, decimals=meter.decimals)
