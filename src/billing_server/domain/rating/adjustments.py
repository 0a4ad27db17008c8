"""What changes a price's amount after the model: discount, then maximum, then minimum (R33).

Example: a model's 100 with `discount {rate: "0.2"}`, `maximum: "70"`, `minimum: "50"` is 80 after
the discount and 70 after the maximum, and the minimum changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar, Protocol

from billing_server.domain.fields import FieldReader, price
from billing_server.domain.rating.exact import multiply, subtract
from billing_server.domain.rating.price_model import ZERO, RatingStep, StepKind
from billing_server.domain.rating.rates import rate_fraction
from metering.money import Exact
from metering.quantity import plain_decimal


class Adjustment(Protocol):
    """One change of an amount, compiled for a segment."""

    @property
    def kind(self) -> StepKind:
        """What the step of an explanation says."""
        ...

    def apply(self, amount: Exact) -> Exact:
        """Returns the changed amount, >= 0, of an amount >= 0."""
        ...


@dataclass(frozen=True, slots=True)
class RateDiscount:
    """Takes off a share of the amount."""

    kind: ClassVar[StepKind] = StepKind.DISCOUNT

    rate: Decimal
    """Fraction from 0 to 1."""

    def apply(self, amount: Exact) -> Exact:
        """Returns amount − amount × rate."""
        return subtract(amount, multiply(amount, self.rate))

    def for_share(self, _share: Fraction) -> "RateDiscount":
        """Returns the same: a share of the amount follows the amount."""
        return self

    def to_fields(self) -> Mapping[str, object]:
        """Returns the fields as a catalog file writes them."""
        return {"rate": plain_decimal(self.rate)}


@dataclass(frozen=True, slots=True)
class AmountDiscount:
    """Takes off an amount a period, at most down to nothing."""

    kind: ClassVar[StepKind] = StepKind.DISCOUNT

    amount: Exact
    """Major units, >= 0."""

    def apply(self, amount: Exact) -> Exact:
        """Returns amount − the discount, or 0 where that is larger."""
        return ZERO if amount <= self.amount else subtract(amount, self.amount)

    def for_share(self, share: Fraction) -> "AmountDiscount":
        """Returns the part of it that a segment gets (R55)."""
        return AmountDiscount(multiply(self.amount, share))

    def to_fields(self) -> Mapping[str, object]:
        """Returns the fields as a catalog file writes them."""
        return {"amount": plain_decimal(self.amount)}


Discount = RateDiscount | AmountDiscount
"""A price's own discount."""


@dataclass(frozen=True, slots=True)
class Maximum:
    """Holds the amount at a most."""

    kind: ClassVar[StepKind] = StepKind.MAXIMUM

    amount: Exact
    """Major units, >= 0."""

    def apply(self, amount: Exact) -> Exact:
        """Returns the smaller of the two."""
        return min(amount, self.amount)


@dataclass(frozen=True, slots=True)
class Minimum:
    """Raises the amount to a least, usage or not."""

    kind: ClassVar[StepKind] = StepKind.MINIMUM

    amount: Exact
    """Major units, >= 0."""

    def apply(self, amount: Exact) -> Exact:
        """Returns the larger of the two."""
        return max(amount, self.amount)


def adjustment_step(adjustment: Adjustment, *, before: Exact, after: Exact) -> RatingStep:
    """Returns the step that explains what an adjustment changed."""
    if isinstance(adjustment, RateDiscount):
        less = subtract(ZERO, adjustment.rate)
        change = subtract(after, before)
        return RatingStep(ZERO, None, before, less, ZERO, change, adjustment.kind)
    return RatingStep.lump(adjustment.kind, subtract(after, before))


def read_discount(fields: FieldReader) -> Discount | None:
    """Reads the fields of `discount`; None where one is wrong, which is noted."""
    rate = fields.maybe("rate", rate_fraction)
    amount = fields.maybe("amount", price)
    if fields.has("rate") == fields.has("amount"):
        problem = 'write either rate: "0.1" for a tenth off, or amount: "5" for 5 off a period'
        fields.note("rate", reason="DISCOUNT_UNCLEAR", problem=problem)
    fields.finish()
    if rate is not None:
        return RateDiscount(rate)
    return None if amount is None else AmountDiscount(amount)
