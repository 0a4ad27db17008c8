"""The most that usage can cost from where a customer stands."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.catalog.model import Aggregation, Meter, TierScope, UsagePrice
from billing_server.domain.limit.price_bounds import (
    PriceBound,
    is_estimable,
    money_text,
    price_bound,
)
from billing_server.domain.rating.conversion import Conversion, ConversionRounding
from billing_server.domain.rating.graduated import Graduated
from billing_server.domain.rating.package import Package
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.rating.price_model import PriceModel
from billing_server.domain.rating.tier import Tier
from billing_server.domain.rating.volume import Volume

METER = Meter(key="tokens", quantity="tokens")
RISING = (
    Tier(up_to=Decimal(1_000), unit_price=Decimal("0.01")),
    Tier(up_to=None, unit_price=Decimal("0.02")),
)
FALLING = (
    Tier(up_to=Decimal(1_000), unit_price=Decimal("0.02")),
    Tier(up_to=None, unit_price=Decimal("0.01")),
)


def price(model: PriceModel, **changes: object) -> UsagePrice:
    made = UsagePrice(key="p", meter="tokens", model=model)
    return replace(made, **changes)  # type: ignore[arg-type]


def steps_of(bound: PriceBound) -> list[tuple[str, str, str]]:
    return [
        (money_text(step.from_quantity), money_text(step.unit_price), money_text(step.flat_price))
        for step in bound.steps
    ]


def test_a_rising_tier_is_reached_earlier_by_what_others_may_buy() -> None:
    bound = price_bound(
        price(Graduated(RISING)), meter=METER, used=Decimal(900), outstanding=Decimal("0.5")
    )
    assert steps_of(bound) == [("0", "0.01", "0"), ("50", "0.02", "0")]
    alone = price_bound(price(Graduated(RISING)), meter=METER, used=Decimal(900))
    assert steps_of(alone) == [("0", "0.01", "0"), ("100", "0.02", "0")]
    beyond = price_bound(price(Graduated(RISING)), meter=METER, used=Decimal(1_000))
    assert steps_of(beyond) == [("0", "0.02", "0")]


def test_a_falling_tier_costs_what_it_did_until_it_is_surely_passed() -> None:
    bound = price_bound(price(Graduated(FALLING)), meter=METER, used=Decimal(999))
    assert steps_of(bound)[0] == ("0", "0.02", "0")
    assert steps_of(price_bound(price(Graduated(FALLING)), meter=METER, used=Decimal(1_001))) == [
        ("0", "0.01", "0")
    ]


def test_included_units_are_taken_for_used_up() -> None:
    bound = price_bound(price(PerUnit(Decimal("0.5")), included=Decimal(100)), meter=METER)
    assert steps_of(bound) == [("0", "0.5", "0")]


def test_a_package_may_be_begun_by_any_event() -> None:
    bound = price_bound(
        price(Package(package_size=Decimal(1_000), package_price=Decimal(3))), meter=METER
    )
    assert (steps_of(bound), bound.event_price) == ([("0", "0.003", "0")], 3)


def test_a_begun_converted_unit_may_fall_on_any_event() -> None:
    minutes = Conversion(Decimal(60), ConversionRounding.UP)
    bound = price_bound(price(PerUnit(Decimal(6)), convert=minutes), meter=METER)
    assert (steps_of(bound), bound.event_price) == ([("0", "0.1", "0")], 6)


def test_a_flat_price_is_told_with_its_tier_until_it_was_paid() -> None:
    tiers = (
        Tier(up_to=Decimal(10), unit_price=Decimal(1)),
        Tier(up_to=None, unit_price=Decimal(1), flat_price=Decimal(7)),
    )
    at_border = price_bound(price(Graduated(tiers)), meter=METER, used=Decimal(10))
    assert steps_of(at_border) == [("0", "1", "7")]
    inside = price_bound(price(Graduated(tiers)), meter=METER, used=Decimal(11))
    assert steps_of(inside) == [("0", "1", "0")]


@pytest.mark.parametrize("aggregation", [Aggregation.MAX])
def test_prices_without_a_highest_marginal_price_need_an_estimate(
    aggregation: Aggregation,
) -> None:
    volume = price(Volume(RISING))
    assert not is_estimable(volume, meter=METER)
    assert not is_estimable(
        price(PerUnit(Decimal(1))), meter=replace(METER, aggregation=aggregation)
    )
    given_one = replace(volume, estimate_unit_price=Decimal("0.02"))
    assert steps_of(price_bound(given_one, meter=METER)) == [("0", "0.02", "0")]


@given(
    prices=st.lists(st.integers(0, 9), min_size=3, max_size=3),
    used=st.integers(0, 60),
    others=st.integers(0, 60),
    call=st.integers(1, 40),
)
def test_a_call_never_costs_more_than_its_bound(
    prices: list[int], used: int, others: int, call: int
) -> None:
    bounds = (Decimal(20), Decimal(40), None)
    model = Graduated(
        tuple(
            Tier(up_to=bound, unit_price=Decimal(unit))
            for bound, unit in zip(bounds, prices, strict=True)
        )
    )
    # Others spend first what they hold: at most `others` units of whatever they cost.
    spent = model.rate(Decimal(used + others)) - model.rate(Decimal(used))
    bound = price_bound(price(model), meter=METER, used=Decimal(used), outstanding=spent)
    start = used + others
    cost = model.rate(Decimal(start + call)) - model.rate(Decimal(start))
    reached = [step for step in bound.steps if step.from_quantity < call or not step.from_quantity]
    assert cost <= call * max(Fraction(step.unit_price) for step in reached)


def test_an_amount_without_end_is_written_so_that_it_is_never_less() -> None:
    assert money_text(Fraction(1, 3)) == "0.333333333333333334"
    assert money_text(Decimal("0.5")) == "0.5"


def test_usage_that_was_corrected_below_zero_stands_at_the_first_tier() -> None:
    below = price_bound(price(Graduated(RISING)), meter=METER, used=Decimal(-3))
    assert below == price_bound(price(Graduated(RISING)), meter=METER)


def test_with_tiers_a_group_a_call_may_stand_in_any_of_them() -> None:
    grouped = price(Graduated(RISING), group_by=("project",), group_tiers=TierScope.PER_GROUP)
    bound = price_bound(grouped, meter=METER, used=Decimal(10))
    assert steps_of(bound) == [("0", "0.02", "0")]
    shared = replace(grouped, group_tiers=TierScope.SHARED)
    assert len(price_bound(shared, meter=METER, used=Decimal(10)).steps) == 2
