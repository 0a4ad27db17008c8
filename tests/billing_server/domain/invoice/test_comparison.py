"""A difference and its two effects."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.invoice.comparison import (
    ChargeChange,
    ComparedCharge,
    SplitMethod,
    split_change,
)
from billing_server.domain.rating.graduated import Graduated
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.rating.tier import Tier
from metering.money import Money, RatedAmount, round_line

Model = PerUnit | Graduated


def usd(cents: int) -> Money:
    return Money(cents, "USD")


def charge(quantity: int | str, model: Model) -> ComparedCharge:
    used = Decimal(quantity)
    amount = round_line(RatedAmount(model.rate(used), "USD"))
    return ComparedCharge(used, amount, model.rate)


def tenth(price: str = "0.10") -> PerUnit:
    return PerUnit(Decimal(price))


def change(before: ComparedCharge | None, after: ComparedCharge | None) -> ChargeChange:
    return split_change(before, after, currency="USD")


def test_more_usage_at_a_higher_price_is_told_apart() -> None:
    found = change(charge(100, tenth()), charge(150, tenth("0.12")))
    assert (found.usage_effect, found.price_effect) == (usd(500), usd(300))
    assert (found.difference, found.method) == (usd(800), SplitMethod.RERATED)


def test_a_tier_that_was_reached_is_usage_and_no_other_price() -> None:
    model = Graduated(
        (
            Tier(up_to=Decimal(100), unit_price=Decimal("0.10")),
            Tier(up_to=None, unit_price=Decimal("0.01")),
        )
    )
    found = change(charge(100, model), charge(200, model))
    assert (found.usage_effect, found.price_effect) == (usd(100), usd(0))


def test_what_is_new_or_gone_is_usage() -> None:
    new, gone = change(None, charge(5, tenth())), change(charge(5, tenth()), None)
    assert (new.usage_effect, new.price_effect, new.method) == (usd(50), usd(0), SplitMethod.NEW)
    assert (gone.usage_effect, gone.method) == (usd(-50), SplitMethod.GONE)
    assert change(None, None).difference == usd(0)


def test_what_cannot_be_rated_alone_is_split_by_the_average_price() -> None:
    before = ComparedCharge(Fraction(100), usd(1000))
    found = change(before, ComparedCharge(Decimal(150), usd(1200)))
    # 150 at the old average of 0.10 are 15.00.
    assert (found.usage_effect, found.price_effect) == (usd(500), usd(-300))
    assert found.method is SplitMethod.AVERAGE_PRICE
    # Nothing was used: there is no average, and all of it is usage.
    unused = change(ComparedCharge(Decimal(0), usd(0)), ComparedCharge(Decimal(5), usd(70)))
    assert (unused.usage_effect, unused.price_effect) == (usd(70), usd(0))


def test_terms_that_do_not_make_the_old_amount_are_not_used() -> None:
    before = ComparedCharge(Decimal(100), usd(999), tenth().rate)
    assert change(before, charge(100, tenth())).method is SplitMethod.AVERAGE_PRICE


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.booleans())
def test_both_effects_add_up_to_the_difference_to_the_cent(
    old: int, new: int, is_rated: bool
) -> None:
    before, after = charge(old, tenth("0.0173")), charge(new, tenth("0.0191"))
    if not is_rated:
        before = ComparedCharge(before.quantity, before.amount)
    found = change(before, after)
    assert found.usage_effect + found.price_effect == after.amount - before.amount
