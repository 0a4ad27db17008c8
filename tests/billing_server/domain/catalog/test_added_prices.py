"""Which new versions of a plan only price what had no price."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing_server.domain.catalog.added_prices import added_usage_prices
from billing_server.domain.catalog.model import Plan, Price, RecurringPrice, UsagePrice
from billing_server.domain.rating.per_unit import PerUnit


def usage(key: str, *, meter: str = "tokens", price: str = "1", **where: str) -> UsagePrice:
    return UsagePrice(key=key, meter=meter, where=where, model=PerUnit(Decimal(price)))


LARGE = usage("large", model="large")
OLD = Plan(key="pro", version=1, currency="USD", prices=(LARGE,))


def added(*prices: Price, **changes: object) -> list[str]:
    new = replace(OLD, version=2, prices=prices, **changes)  # type: ignore[arg-type]
    return [price.key for price in added_usage_prices(OLD, new=new)]


def test_r32_a_price_for_usage_that_none_matched_is_an_addition() -> None:
    new = usage("new", model="new")
    assert added(LARGE, new) == ["new"]
    assert added(new, LARGE, effective_from=datetime(2026, 1, 1, tzinfo=UTC)) == ["new"]
    # The price with more matched dimensions keeps what it charges.
    assert added(LARGE, usage("rest")) == ["rest"]
    assert added(LARGE, usage("calls", meter="calls", model="large", region="eu")) == ["calls"]


@pytest.mark.parametrize(
    "prices",
    [
        (LARGE,),
        (usage("large", price="2", model="large"), usage("new", model="new")),
        (usage("new", model="new"),),
        (LARGE, usage("eu", model="large", region="eu")),
        (LARGE, usage("eu", region="eu", tier="x")),
        (LARGE, usage("new", model="new"), RecurringPrice(key="fee", amount=Decimal(1))),
    ],
    ids=["nothing", "changed", "removed", "takes usage", "takes usage of some", "fee"],
)
def test_r37_whatever_touches_a_price_that_was_there_is_no_addition(
    prices: tuple[Price, ...],
) -> None:
    assert added(*prices) == []


def test_r37_another_name_is_no_addition() -> None:
    assert added(LARGE, usage("new", model="new"), name="Other") == []
