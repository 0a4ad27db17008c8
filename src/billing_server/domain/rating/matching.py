"""Which price charges a quantity: the one with the most matched dimensions (R32)."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from billing_server.domain.catalog.model import UsagePrice


class PriceMatcher:
    """The prices of one plan version, compiled for matching. Immutable."""

    __slots__ = ("_by_meter",)

    def __init__(self, prices: Iterable[UsagePrice]) -> None:
        by_meter: dict[str, list[UsagePrice]] = {}
        for price in prices:
            by_meter.setdefault(price.meter, []).append(price)
        # Most matched keys first. No two of equal count can match alike: `tied_prices` sees to it.
        self._by_meter = {
            meter: tuple(sorted(found, key=lambda price: -len(price.where)))
            for meter, found in by_meter.items()
        }

    def best_price(self, meter_key: str, *, dimensions: Mapping[str, str]) -> UsagePrice | None:
        """Returns the price that charges usage with these dimensions; None: unpriced."""
        for price in self._by_meter.get(meter_key, ()):
            if all(dimensions.get(key) == value for key, value in price.where.items()):
                return price
        return None


def best_price(
    prices: Iterable[UsagePrice], *, meter_key: str, dimensions: Mapping[str, str]
) -> UsagePrice | None:
    """Returns the matching price with the most matched keys; None where none matches."""
    return PriceMatcher(prices).best_price(meter_key, dimensions=dimensions)


def tied_prices(prices: Sequence[UsagePrice]) -> list[tuple[UsagePrice, UsagePrice]]:
    """Returns the pairs of prices that could match one event with equally many keys (R32).

    Two prices tie where they are on one meter, ask for equally many dimensions, and no dimension
    is asked for with different values: some event then matches both.
    """
    return [
        (first, second)
        for first, second in combinations(prices, 2)
        if first.meter == second.meter
        and len(first.where) == len(second.where)
        and all(second.where.get(key, value) == value for key, value in first.where.items())
    ]
