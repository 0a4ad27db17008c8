"""Which price charges an event (R32)."""

from decimal import Decimal

import pytest

from billing_server.domain.catalog.model import UsagePrice
from billing_server.domain.rating.matching import PriceMatcher, best_price, tied_prices
from billing_server.domain.rating.per_unit import PerUnit


def price(key: str, meter: str = "tokens", **where: str) -> UsagePrice:
    return UsagePrice(key=key, meter=meter, where=where, model=PerUnit(Decimal(1)))


PRICES = [
    price("any"),
    price("large", model="large"),
    price("large-eu", model="large", region="eu"),
    price("images", meter="images", model="large"),
]


@pytest.mark.parametrize(
    ("dimensions", "key"),
    [
        ({}, "any"),
        ({"model": "small"}, "any"),
        ({"model": "large"}, "large"),
        ({"model": "large", "region": "us"}, "large"),
        ({"region": "eu"}, "any"),
        ({"model": "large", "region": "eu", "team": "a"}, "large-eu"),
    ],
)
def test_r32_the_price_with_the_most_matched_keys_wins(
    dimensions: dict[str, str], key: str
) -> None:
    found = best_price(PRICES, meter_key="tokens", dimensions=dimensions)
    assert found is not None
    assert found.key == key


def test_r32_what_matches_no_price_is_unpriced() -> None:
    matcher = PriceMatcher(PRICES)
    assert matcher.best_price("images", dimensions={"model": "small"}) is None
    assert matcher.best_price("audio", dimensions={}) is None


@pytest.mark.parametrize(
    ("first", "second", "is_tied"),
    [
        (price("a"), price("b"), True),
        (price("a", model="x"), price("b", model="x"), True),
        (price("a", model="x"), price("b", model="y"), False),
        # An event with model x and region eu matches both by one key.
        (price("a", model="x"), price("b", region="eu"), True),
        (price("a", model="x", region="eu"), price("b", model="x", tier="1"), True),
        (price("a", model="x", region="eu"), price("b", model="y", tier="1"), False),
        # The one with two keys wins wherever both match.
        (price("a", model="x"), price("b", region="eu", tier="1"), False),
        (price("a"), price("b", meter="images"), False),
    ],
)
def test_r32_prices_that_could_match_one_event_equally_well_tie(
    first: UsagePrice, second: UsagePrice, is_tied: bool
) -> None:
    assert tied_prices([first, second]) == ([(first, second)] if is_tied else [])
