"""Where running charges differ from what a fold of the usage says they should be."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from billing_server.domain.ports.usage import ChargeRow, RunningCharge


@dataclass(frozen=True, slots=True)
class ChargeDifference:
    """A running charge that is not what it should be."""

    price_key: str
    """Which price."""
    segment: int
    """Which span of the period, from 0."""
    group_key: str
    """Which group; empty: the whole price."""
    stored: str
    """What is kept: quantity and amount; `nothing` where no row is."""
    folded: str
    """What the usage comes to, in the same words."""


def charge_differences(
    running: Iterable[RunningCharge], *, folded: Iterable[ChargeRow]
) -> tuple[ChargeDifference, ...]:
    """Compare the running charges of one period of a subscription with a fold of its usage."""
    stored = {
        (each.price_key, each.segment, each.group_key): (
            each.quantity,
            each.value_count,
            each.amount_exact,
            each.amount_minor,
        )
        for each in running
    }
    wanted = {
        (row.key.price_key, row.key.segment, row.key.group_key): (
            row.quantity,
            row.value_count,
            row.amount_exact,
            row.amount_minor,
        )
        for row in folded
    }
    return tuple(
        ChargeDifference(*place, _shown(stored.get(place)), _shown(wanted.get(place)))
        for place in sorted(stored.keys() | wanted.keys())
        if stored.get(place) != wanted.get(place)
    )


def _shown(found: tuple[int, int, Decimal, int] | None) -> str:
    if found is None:
        return "nothing"
    quantity, value_count, amount_exact, amount_minor = found
    of = f" of {value_count}" if value_count else ""
    return f"quantity {quantity}{of}, amount {amount_exact:f} ({amount_minor} minor units)"
