"""The most that a call can cost, from the prices that the server sends with a limit of money.

Rating prices a customer's usage in all, so what one call adds depends on where the customer
stands. The agent does not know that place exactly. It takes, for each meter that the call feeds,
the highest unit price that is reachable from there: never less than what rating will add.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class PriceStep:
    """A stretch of quantities with one highest unit price."""

    from_quantity: Decimal
    """Where it begins, in the meter's unit, ahead of what the server had heard of. >= 0."""
    unit_price: Decimal
    """Of one unit, in major units of the currency, >= 0."""
    flat_price: Decimal = _ZERO
    """Charged once where the step is entered, in major units of the currency, >= 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBound:
    """What usage of one meter and match can cost at most."""

    meter_key: str
    """Of the meter in the catalog."""
    quantity: str
    """The event's quantity that the meter reads."""
    meter_where: Mapping[str, str] = field(default_factory=dict)
    """Dimension values that an event must carry for the meter to count it."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Dimension values that an event must carry for the price to match."""
    is_count: bool = False
    """Whether the meter counts events that carry the quantity, instead of adding its values up."""
    steps: tuple[PriceStep, ...] = ()
    """Ascending, the first from 0; empty only where it is not estimable."""
    event_price: Decimal = _ZERO
    """Charged for each event, in major units of the currency, >= 0."""
    is_not_estimable: bool = False
    """Whether no bound can be told."""


def highest_cost(
    prices: Iterable[PriceBound],
    *,
    dimensions: Mapping[str, str],
    quantities: Mapping[str, Decimal],
    ahead: Mapping[str, Decimal],
) -> Fraction | None:
    """Returns the most that a call can cost, exact, in major units; None where nobody can tell.

    Example: steps "0.01 from 0" and "0.02 from 100" with 90 units used since: a call of 20 costs
    at most 20 × 0.02.

    Args:
        prices: Of the limit.
        dimensions: Of the call.
        quantities: Of the call.
        ahead: Units used or held since the server told the prices, by quantity name.
    """
    total = Fraction(0)
    for price in _matching(prices, dimensions=dimensions, quantities=quantities):
        if price.is_not_estimable:
            return None
        units = Decimal(1) if price.is_count else quantities[price.quantity]
        total += _cost(price, units=units, ahead=ahead.get(price.quantity, _ZERO))
    return total


def _matching(
    prices: Iterable[PriceBound],
    *,
    dimensions: Mapping[str, str],
    quantities: Mapping[str, Decimal],
) -> Iterable[PriceBound]:
    """Returns the price of each meter that the call feeds: the one with the most matched keys."""
    best: dict[str, PriceBound] = {}
    for price in prices:
        if price.quantity not in quantities or not (
            _is_match(price.meter_where, dimensions) and _is_match(price.where, dimensions)
        ):
            continue
        found = best.get(price.meter_key)
        if found is None or len(price.where) > len(found.where):
            best[price.meter_key] = price
    return best.values()


def _is_match(where: Mapping[str, str], dimensions: Mapping[str, str]) -> bool:
    return all(dimensions.get(key) == value for key, value in where.items())


def _cost(price: PriceBound, *, units: Decimal, ahead: Decimal) -> Fraction:
    reach = ahead + units
    reached = [step for step in price.steps if step.from_quantity < reach or not step.from_quantity]
    unit_price = max((step.unit_price for step in reached), default=_ZERO)
    # A step's flat price may fall on this call wherever its place is not certain to be behind it.
    entered = sum((Fraction(step.flat_price) for step in reached), start=Fraction(0))
    return Fraction(units) * Fraction(unit_price) + Fraction(price.event_price) + entered
