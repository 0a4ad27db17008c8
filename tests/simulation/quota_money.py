"""Limits of money and rolling windows in a simulated fleet: customers who pay, and their limits."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from billing_server.domain.catalog.limit import Limit, LimitSubject, LimitWindow, WindowUnit
from billing_server.domain.catalog.model import Meter, Plan, UsagePrice
from billing_server.domain.ports.customers import StartInvoice
from billing_server.domain.rating.graduated import Graduated
from billing_server.domain.rating.tier import Tier
from billing_server.domain.subscription.model import Customer, Subscription
from billing_server.store.unit_of_work import SqlStore
from metering.limits import SilencePolicy

BUYERS: Final = ("buyer", "trader", "vendor")
"""They stand in the place of the customers who pay nothing for what they use."""
MONEY, ROLLING = "spend", "rolling"
"""Keys of the limits."""
ROLLING_SECONDS: Final = 60.0
ROLLING_LIFE_SECONDS: Final = 150.0
"""How much longer a world with rolling windows lives, without faults: use is counted for up to two
minutes."""
MICROS: Final = 1_000_000
_START: Final = datetime(2026, 3, 1, tzinfo=UTC)
_TIERS: Final = (
    # Where it begins, of one unit, of entering it: in micro-units. Dearer first, then cheaper.
    (0, 10_000, 0),
    (40, 30_000, 250_000),
    (160, 20_000, 0),
)
_HIGHEST_UNIT: Final = max(unit for _, unit, _ in _TIERS)
LOWEST_UNIT: Final = min(unit for _, unit, _ in _TIERS)
"""Of one unit, in micro-units."""
_FLAT_SUM: Final = sum(flat for _, _, flat in _TIERS)
_METER: Final = Meter(key="sold", unit="token", quantity="input_tokens")
_PLAN: Final = Plan(
    key="sold",
    version=1,
    currency="USD",
    effective_from=_START,
    prices=(
        UsagePrice(
            key="sold",
            meter=_METER.key,
            model=Graduated(
                tuple(
                    Tier(
                        up_to=None if following is None else Decimal(following[0]),
                        unit_price=Decimal(unit) / MICROS,
                        flat_price=Decimal(flat) / MICROS,
                    )
                    for (_, unit, flat), following in zip(_TIERS, (*_TIERS[1:], None), strict=True)
                )
            ),
        ),
    ),
)


class Kinds(NamedTuple):
    """What else limits count in a world."""

    has_money: bool
    is_tidy: bool
    """Whether nothing is used that was not reserved: then no estimate is ever too low."""
    has_rolling: bool


def kinds_of(seed: int, money: random.Random) -> Kinds:
    """Returns what else limits count in a world: money in three of ten, a rolling one in four."""
    return Kinds(seed % 10 in (2, 5, 7), money.random() < 0.6, seed % 4 == 1)


def sell_to_buyers(store: SqlStore) -> None:
    """Adds customers who pay by tiers."""
    with store.write() as unit:
        unit.catalog.put_meter(_METER, update_time=_START)
        unit.catalog.add_plan_version(_PLAN, create_time=_START)
        for name in BUYERS:
            unit.customers.add(Customer(id=name, currency="USD"), create_time=_START)
            unit.subscriptions.add(
                Subscription(
                    id=f"sub-{name}",
                    customer_id=name,
                    plan_key=_PLAN.key,
                    plan_version=1,
                    start=_START,
                ),
                create_time=_START,
                start_invoice=StartInvoice.NOT_DUE,
            )
            unit.customers.advance_revision(name)


def drawn_money_limit(source: random.Random) -> Limit:
    """Draws a spend cap."""
    reclaims = source.random() < 0.3
    units = (WindowUnit.LIFETIME, WindowUnit.DAY, WindowUnit.BILLING_PERIOD)
    return Limit(
        key=MONEY,
        subject=LimitSubject.MONEY,
        window=LimitWindow(source.choice(units)),
        maximum=Decimal(source.randint(50, 500)) / 100,
        unconfirmed=SilencePolicy.RECLAIM if reclaims else SilencePolicy.HOLD,
        reclaim_max=Decimal(source.randint(1, 40)) / 100 if reclaims else Decimal(0),
    )


def drawn_rolling_limit(source: random.Random) -> Limit:
    """Draws a limit of a rolling minute."""
    return Limit(
        key=ROLLING,
        subject=LimitSubject.METER,
        meter="input_tokens",
        window=LimitWindow(WindowUnit.ROLLING, timedelta(seconds=ROLLING_SECONDS)),
        maximum=Decimal(source.randint(20, 100)),
    )


def drawn_maximum(source: random.Random, limit: Limit) -> Decimal:
    """Draws what people change a limit to."""
    most = Decimal(source.randint(5, 250))
    return most / 50 if limit.is_money else most


def scaled(limit: Limit, amount: Decimal) -> int:
    """Returns an amount in the limit's smallest unit."""
    return int(amount * MICROS) if limit.is_money else int(amount)


def rated(units: int) -> int:
    """Returns what a number of units costs in one billing period, in micro-units."""
    total = 0
    for number, (start, unit, flat) in enumerate(_TIERS):
        if units > start:
            end = _TIERS[number + 1][0] if number + 1 < len(_TIERS) else units
            total += (min(units, end) - start) * unit + flat
    return total


def rated_by_month(events: list[tuple[str, int]]) -> int:
    """Returns what usage costs in micro-units.

    Args:
        events: Month of each, and its units.
    """
    units: Counter[str] = Counter()
    for month, amount in events:
        units[month] += amount
    return sum(map(rated, units.values()))


def affordable(micros: int) -> int:
    """Returns how many units money buys wherever a customer stands. >= 0."""
    return max(0, (micros - _FLAT_SUM) // _HIGHEST_UNIT)
