"""What a limit may not ask for: meters that cannot be shared out, prices that nobody can bound."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from billing_server.domain.catalog.limit import Limit, LimitSubject
from billing_server.domain.catalog.model import Meter, UsagePrice
from billing_server.domain.limit.price_bounds import is_estimable
from metering.errors import ValidationError
from metering.limits import Enforcement
from metering.quantity import scale_quantity


@dataclass(frozen=True, slots=True)
class LimitProblem:
    """Something about a limit that cannot be."""

    field: str
    """Which field of the limit."""
    reason: str
    """Stable reason in UPPER_SNAKE_CASE."""
    problem: str
    """What is wrong and what to do."""


def limit_problems(
    limit: Limit, *, meters: Mapping[str, Meter], prices: Iterable[UsagePrice]
) -> tuple[LimitProblem, ...]:
    """Returns what is wrong with a limit beside these meters and prices.

    Args:
        limit: as it was read.
        meters: every meter by key.
        prices: the usage prices of the customers that it holds for.
    """
    if limit.subject is LimitSubject.METER:
        return _meter_problems(limit, meters=meters)
    if limit.is_money and limit.enforcement is Enforcement.HARD:
        return _price_problems(limit, meters=meters, prices=prices)
    return ()


def _meter_problems(limit: Limit, *, meters: Mapping[str, Meter]) -> tuple[LimitProblem, ...]:
    meter = meters.get(limit.meter)
    if meter is None:
        problem = f"there is no meter {limit.meter!r}; add it under meters, or correct the name"
        return (LimitProblem("meter", "METER_UNKNOWN", problem),)
    if not meter.aggregation.is_additive:
        problem = (
            f"meter {meter.key!r} keeps the {meter.aggregation} of its values, which cannot be "
            "shared out to agents; limit a meter that sums or counts"
        )
        return (LimitProblem("meter", "LIMIT_METER_NOT_ADDITIVE", problem),)
    problems = []
    amounts = {
        "max": limit.maximum,
        "allowance": limit.allowance,
        "reclaim_max": limit.reclaim_max,
        "burst": limit.burst or 0,
    }
    for field, amount in amounts.items():
        try:
            scale_quantity(str(amount), decimals=meter.decimals)
        except ValidationError as error:
            problems.append(LimitProblem(field, error.reason, error.message))
    return tuple(problems)


def _price_problems(
    limit: Limit, *, meters: Mapping[str, Meter], prices: Iterable[UsagePrice]
) -> tuple[LimitProblem, ...]:
    unknown = [
        price
        for price in prices
        if price.meter in meters and not is_estimable(price, meter=meters[price.meter])
    ]
    if not unknown:
        return ()
    field = "balance" if limit.subject is LimitSubject.BALANCE else "amount"
    named = ", ".join(repr(price.key) for price in unknown)
    problem = (
        f"a hard limit of money needs to know what a call can cost at most, and {named} of model "
        f"{unknown[0].model.name} has no highest unit price: give it an estimate_unit_price, or "
        "make the limit soft"
    )
    return (LimitProblem(field, "PRICE_NOT_ESTIMABLE", problem),)
