"""The most that usage can cost from where a customer stands: what agents estimate money by.

A call's cost is bounded by the highest unit price that is reachable: from the customer's position
in its period, past everything that others may buy with what they hold, up to the call itself.
Prices without such a bound are refused under a hard limit of money unless they say what a unit is
to be taken for (`estimate_unit_price`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from billing_server.domain.catalog.model import Meter, TierScope, UsagePrice
from billing_server.domain.rating.conversion import ConversionRounding
from billing_server.domain.rating.graduated import Graduated
from billing_server.domain.rating.package import Package
from billing_server.domain.rating.per_unit import PerUnit
from metering.money import Exact
from metering.quantity import plain_decimal

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class PriceStep:
    """A stretch of quantities ahead of the customer's position with one highest unit price."""

    from_quantity: Exact
    """Where it begins, in the meter's unit; 0 in the first."""
    unit_price: Exact
    """Of one unit, in major units. >= 0."""
    flat_price: Exact = ZERO
    """Charged once where it is entered, in major units. >= 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBound:
    """What usage that one price matches can cost at most."""

    price: UsagePrice
    """The price."""
    meter: Meter
    """Its meter."""
    steps: tuple[PriceStep, ...] = ()
    """Ascending, the first from 0; empty only where no bound can be told."""
    event_price: Exact = ZERO
    """Added for each event, in major units. >= 0."""

    @property
    def is_estimable(self) -> bool:
        """Whether a bound can be told."""
        return bool(self.steps)


@dataclass(frozen=True, slots=True)
class _Tiers:
    """A price as tiers of the billable quantity, with what begun units add to each event."""

    steps: tuple[PriceStep, ...] = field(default=())
    event_price: Exact = ZERO


def is_estimable(price: UsagePrice, *, meter: Meter) -> bool:
    """Tells whether a price has a highest marginal unit price, or says what to take for it."""
    return price_bound(price, meter=meter).is_estimable


def price_bound(
    price: UsagePrice, *, meter: Meter, used: Decimal = ZERO, outstanding: Decimal = ZERO
) -> PriceBound:
    """Returns what usage can cost at most from a position on.

    Example: 0.01 up to 1,000 units and 0.02 beyond, 900 used and money for 50 more outstanding:
    a step of 0.01 from 0, and one of 0.02 from 50.

    Args:
        price: of a plan.
        meter: that it prices.
        used: in the running segment so far, in the meter's unit; below zero counts as zero.
        outstanding: what everyone may still spend from leases, in major units. >= 0.
    """
    if price.estimate_unit_price is not None:
        return PriceBound(
            price=price, meter=meter, steps=(PriceStep(ZERO, price.estimate_unit_price),)
        )
    tiers = _tiers(price) if meter.aggregation.is_additive else _Tiers()
    if not tiers.steps:
        return PriceBound(price=price, meter=meter)
    steps = _in_meter_units(tiers.steps, price=price)
    if price.group_by and price.group_tiers is TierScope.PER_GROUP:
        # Each group stands elsewhere in its tiers, and a call may belong to any of them.
        found: tuple[PriceStep, ...] = (_merged(steps),)
    else:
        found = _past(_ahead(steps, used=used), outstanding=Fraction(outstanding))
    return PriceBound(price=price, meter=meter, steps=found, event_price=tiers.event_price)


def _tiers(price: UsagePrice) -> _Tiers:
    """Returns the tiers of the model, empty where it has no highest marginal price."""
    match price.model:
        case PerUnit() as model:
            steps: tuple[PriceStep, ...] = (PriceStep(ZERO, model.unit_price),)
            event_price: Exact = ZERO
        case Package() as model:
            # An event may begin one more package than its units fill.
            rate = Fraction(model.package_price) / Fraction(model.package_size)
            steps, event_price = (PriceStep(ZERO, rate),), model.package_price
        case Graduated() as model:
            bounds = (ZERO, *(tier.up_to for tier in model.tiers if tier.up_to is not None))
            steps = tuple(
                PriceStep(bound, tier.unit_price, tier.flat_price)
                for bound, tier in zip(bounds, model.tiers, strict=False)
            )
            event_price = ZERO
        case _:
            return _Tiers()
    convert = price.convert
    if convert is not None and convert.rounding is not ConversionRounding.NONE:
        # An event may begin one more converted unit.
        event_price = Fraction(event_price) + max(Fraction(step.unit_price) for step in steps)
    return _Tiers(steps, event_price)


def _in_meter_units(steps: Sequence[PriceStep], *, price: UsagePrice) -> list[PriceStep]:
    """Returns the tiers over the meter's quantity: behind what is included, before conversion."""
    factor = Fraction(1) if price.convert is None else Fraction(price.convert.divide_by)
    included = Fraction(price.included)
    found = [
        PriceStep(
            (Fraction(step.from_quantity) + included) * factor,
            Fraction(step.unit_price) / factor,
            Fraction(step.flat_price),
        )
        for step in steps
    ]
    return [PriceStep(Fraction(0), Fraction(0)), *found] if included else found


def _ahead(steps: Sequence[PriceStep], *, used: Decimal) -> list[PriceStep]:
    """Returns the tiers from a position on; the first is the one that the customer is in."""
    position = max(Fraction(used), Fraction(0))
    behind = [step for step in steps if Fraction(step.from_quantity) <= position]
    current = behind[-1]
    # Whoever has used something in a tier has paid what it costs to enter it.
    is_entered = position > Fraction(current.from_quantity)
    flat = Fraction(0) if is_entered else Fraction(current.flat_price)
    first = PriceStep(Fraction(0), current.unit_price, flat)
    rest = [
        PriceStep(Fraction(step.from_quantity) - position, step.unit_price, step.flat_price)
        for step in steps
        if Fraction(step.from_quantity) > position
    ]
    return [first, *rest]


def _past(steps: Sequence[PriceStep], *, outstanding: Fraction) -> tuple[PriceStep, ...]:
    """Returns the tiers as seen past what others may buy: what they may reach is merged."""
    reach = _reach(steps, outstanding=outstanding)
    if reach is None:
        return (_merged(steps),)
    reached = [step for step in steps if Fraction(step.from_quantity) <= reach]
    rest = [
        PriceStep(Fraction(step.from_quantity) - reach, step.unit_price, step.flat_price)
        for step in steps
        if Fraction(step.from_quantity) > reach
    ]
    return (_merged(reached), *rest)


def _reach(steps: Sequence[PriceStep], *, outstanding: Fraction) -> Fraction | None:
    """Returns how many units money may buy from here; None: without end.

    Units that cost nothing are taken for bought: nobody keeps account of them in money.
    """
    left = outstanding
    for position, step in enumerate(steps):
        start, unit_price = Fraction(step.from_quantity), Fraction(step.unit_price)
        is_last = position == len(steps) - 1
        if unit_price:
            affordable = start + left / unit_price
            if is_last or affordable < Fraction(steps[position + 1].from_quantity):
                return affordable
            left -= (Fraction(steps[position + 1].from_quantity) - start) * unit_price
        elif is_last:
            return None
    return None


def _merged(steps: Sequence[PriceStep]) -> PriceStep:
    flat = sum((Fraction(step.flat_price) for step in steps), Fraction(0))
    return PriceStep(Fraction(0), max(Fraction(step.unit_price) for step in steps), flat)


def money_text(amount: Exact) -> str:
    """Returns an amount as a decimal string that is never less than it."""
    text = plain_decimal(amount)
    if Fraction(text) >= Fraction(amount):
        return text
    return plain_decimal(Decimal(text) + Decimal(1).scaleb(-18))
