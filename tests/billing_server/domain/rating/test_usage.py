"""Usage prices: included units, stubs, and what a line shows."""

from decimal import Decimal
from fractions import Fraction

from billing_server.domain.catalog.model import Aggregation, Meter, UsagePrice
from billing_server.domain.rating.graduated import Graduated
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.rating.tier import Tier
from billing_server.domain.rating.usage import (
    rate_usage_price,
    scale_included,
    usage_terms,
)

TOKENS = Meter(key="tokens", quantity="tokens")
SEATS = Meter(key="seats", quantity="seats", aggregation=Aggregation.MAX)


def price(included: str = "0", unit_price: str = "0.10") -> UsagePrice:
    return UsagePrice(
        key="input",
        meter="tokens",
        included=Decimal(included),
        model=PerUnit(Decimal(unit_price)),
    )


def test_r30_included_units_come_off_before_tiers_and_tiers_count_from_zero() -> None:
    # 20 used, 5 included: 15 are left and all of them lie in the tier up to 15.
    tiered = UsagePrice(
        key="input",
        meter="tokens",
        included=Decimal(5),
        model=Graduated((Tier(Decimal(15), Decimal(1)), Tier(None, Decimal(100)))),
    )
    rated = rate_usage_price(tiered, quantity=Decimal(20), meter=TOKENS)
    assert rated.amount_exact == 15
    assert (rated.quantity, rated.included_quantity, rated.billable_quantity) == (20, 5, 15)


def test_usage_within_the_included_units_costs_nothing_and_shows_what_was_used() -> None:
    rated = rate_usage_price(price("100"), quantity=Decimal(40), meter=TOKENS)
    assert rated.amount_exact == 0
    assert (rated.included_quantity, rated.billable_quantity) == (40, 0)
    assert rated.steps == ()


def test_r17_a_stub_scales_what_is_included_and_rounds_it_half_up_to_the_meter() -> None:
    # 1000 × 17/31 = 548.387… → 548 whole tokens; 12345 − 548 = 11797, × 0.10 = 1179.7.
    rated = rate_usage_price(
        price("1000"), quantity=Decimal(12345), meter=TOKENS, share=Fraction(17, 31)
    )
    assert rated.included_quantity == 548
    assert rated.amount_exact == Decimal("1179.7")
    assert rated.amount_share == 1


def test_r17_half_a_unit_of_included_is_rounded_up() -> None:
    # 5 × 1/2 = 2.5 → 3; with one decimal it stays 2.5.
    assert scale_included(Decimal(5), share=Fraction(1, 2), meter=TOKENS) == 3
    one_decimal = Meter(key="t", quantity="t", decimals=1)
    assert scale_included(Decimal(5), share=Fraction(1, 2), meter=one_decimal) == Decimal("2.5")


def test_r17_a_stub_of_a_maximum_scales_the_amount_and_not_the_included_units() -> None:
    # (100 − 10) × 0.10 = 9; two halves of a month make 4.50 each and 9 together.
    terms = usage_terms(price("10"), meter=SEATS, share=Fraction(1, 2))
    assert terms.included == 10
    assert terms.rate(Decimal(100)) == Fraction(9, 2)
    rated = terms.explain(Decimal(100))
    assert rated.amount_share == Fraction(1, 2)
    assert [(str(step.kind), step.amount) for step in rated.steps] == [
        ("tier", 9),
        ("proration", Decimal("-4.5")),
    ]


def test_r17_a_plan_change_in_mid_period_starts_the_tiers_again_at_zero() -> None:
    # 50 × 0.10 before and 200 × 0.20 after make 45: each segment is rated on its own usage.
    before = rate_usage_price(price(), quantity=Decimal(50), meter=TOKENS)
    after = rate_usage_price(price(unit_price="0.20"), quantity=Decimal(200), meter=TOKENS)
    assert before.amount_exact + after.amount_exact == 45


def test_a_total_beyond_28_digits_stays_exact() -> None:
    quantity = Decimal("1234567890123456789012345678901")
    rated = rate_usage_price(price("1", "1"), quantity=quantity, meter=TOKENS)
    assert rated.amount_exact == Decimal("1234567890123456789012345678900")
