"""Usage prices: included units, stubs, and what a line shows."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from billing_server.domain.catalog.model import Aggregation, Meter, Proratable, UsagePrice
from billing_server.domain.rating.adjustments import AmountDiscount, RateDiscount
from billing_server.domain.rating.conversion import Conversion, ConversionRounding
from billing_server.domain.rating.dynamic import Dynamic
from billing_server.domain.rating.graduated import Graduated
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.rating.percentage import PercentageByEvent
from billing_server.domain.rating.price_model import EventUsage
from billing_server.domain.rating.tier import Tier
from billing_server.domain.rating.usage import (
    UsageTerms,
    rate_usage_price,
    scale_included,
    usage_terms,
)
from metering.errors import InvariantError

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
    # The reader sees where the 548 come from.
    assert [(str(step.kind), step.from_quantity, step.to_quantity) for step in rated.steps] == [
        ("included", 1000, 548),
        ("tier", 0, None),
    ]


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


HALF = Fraction(1, 2)
BOUNDED = replace(price(unit_price="1"), minimum=Decimal(20), maximum=Decimal(60))


def test_r33_modifiers_act_in_their_order_however_they_were_written() -> None:
    # 421 s are 8 begun minutes; 2 are included; 6 × 10 = 60; less 10 % = 54; at most 40.
    modified = replace(
        price("2", "10"),
        convert=Conversion(Decimal(60), ConversionRounding.UP),
        discount=RateDiscount(Decimal("0.1")),
        maximum=Decimal(40),
        minimum=Decimal(5),
    )
    rated = rate_usage_price(modified, quantity=Decimal(421), meter=TOKENS)
    assert rated.amount_exact == 40
    assert [str(step.kind) for step in rated.steps] == [
        "conversion",
        "tier",
        "discount",
        "maximum",
    ]
    assert (rated.quantity, rated.included_quantity, rated.billable_quantity) == (421, 2, 6)


def test_r34_the_minimum_is_charged_without_usage_and_left_out_of_a_partial_invoice() -> None:
    terms = usage_terms(BOUNDED, meter=TOKENS)
    assert [terms.rate(Decimal(used)) for used in (0, 5, 40, 90)] == [20, 20, 40, 60]
    partial = terms.without_minimum()
    assert [partial.rate(Decimal(used)) for used in (0, 5, 40, 90)] == [0, 5, 40, 60]


@pytest.mark.parametrize(
    ("scaled", "amounts"),
    [
        ({Proratable.MINIMUM, Proratable.MAXIMUM}, [10, 30]),
        ({Proratable.MINIMUM}, [10, 60]),
        ({Proratable.MAXIMUM}, [20, 30]),
        (set(), [20, 60]),
    ],
)
def test_r17_a_short_segment_scales_the_bounds_that_prorate_names(
    scaled: set[Proratable], amounts: list[int]
) -> None:
    bounded = replace(BOUNDED, prorate=frozenset(scaled))
    terms = usage_terms(bounded, meter=TOKENS, share=HALF)
    assert [terms.rate(Decimal(used)) for used in (0, 90)] == amounts


def test_r17_included_units_stay_whole_where_prorate_leaves_them_out() -> None:
    kept = replace(price("1000"), prorate=frozenset({Proratable.MINIMUM}))
    assert usage_terms(kept, meter=TOKENS, share=HALF).included == 1000
    assert usage_terms(price("1000"), meter=TOKENS, share=HALF).included == 500


def test_r17_a_segment_of_no_day_has_its_maximum_by_the_second_and_the_rest_by_the_day() -> None:
    """Five of 744 hours on one day: what is included and asked for is 0, and usage is not free."""
    bounded = replace(BOUNDED, included=Decimal(310), maximum=Decimal(744))
    none, hours = Fraction(0), Fraction(5, 744)
    terms = usage_terms(bounded, meter=TOKENS, share=none, maximum_share=hours)
    assert (terms.included, terms.rate(Decimal(0))) == (0, 0)
    assert terms.rate(Decimal(3)) == 3
    assert terms.rate(Decimal(9)) == 5
    whole = usage_terms(
        replace(bounded, prorate=frozenset()), meter=TOKENS, share=none, maximum_share=hours
    )
    assert (whole.included, whole.rate(Decimal(0)), whole.rate(Decimal(9999))) == (310, 20, 744)


def test_r17_a_level_in_a_segment_of_no_day_costs_nothing_for_its_day_is_another_segments() -> None:
    terms = usage_terms(price(), meter=SEATS, share=Fraction(0), maximum_share=Fraction(5, 744))
    assert terms.rate(Decimal(100)) == 0


def test_r17_the_bounds_of_a_maximum_meter_are_scaled_once() -> None:
    # 100 seats at 1 would cost 100, 60 at most; half a month is 30, not 15.
    terms = usage_terms(BOUNDED, meter=SEATS, share=HALF)
    assert [terms.rate(Decimal(used)) for used in (0, 50, 100)] == [10, 25, 30]


def test_r55_a_discount_of_an_amount_is_scaled_with_the_segment() -> None:
    discounted = replace(price(unit_price="1"), discount=AmountDiscount(Decimal(5)))
    assert usage_terms(discounted, meter=TOKENS, share=HALF).rate(Decimal(10)) == Decimal("7.5")


def test_r27_a_flat_price_is_charged_at_zero_where_the_price_says_so() -> None:
    tiers = Graduated((Tier(None, Decimal("0.05"), Decimal(10)),))
    charged = replace(price("5"), model=tiers, charge_flat_at_zero=True)
    rated = rate_usage_price(charged, quantity=Decimal(0), meter=TOKENS)
    assert (rated.amount_exact, [step.amount for step in rated.steps]) == (10, [10])
    # Usage within what is included is no usage to the model.
    assert rate_usage_price(charged, quantity=Decimal(5), meter=TOKENS).amount_exact == 10
    assert rate_usage_price(charged, quantity=Decimal(6), meter=TOKENS).amount_exact == Decimal(
        "10.05"
    )
    assert (
        rate_usage_price(
            replace(charged, charge_flat_at_zero=False), quantity=Decimal(0), meter=TOKENS
        ).amount_exact
        == 0
    )


def test_more_taken_off_than_used_charges_nothing_and_is_shown() -> None:
    rated = rate_usage_price(price("5"), quantity=Decimal(-3), meter=TOKENS)
    assert (rated.amount_exact, rated.steps) == (0, ())
    assert (rated.quantity, rated.included_quantity, rated.billable_quantity) == (-3, 0, 0)


def test_an_average_without_an_end_stays_exact() -> None:
    # 10 GB and 20 GB and 20 GB: 50/3 at 0.3 are 5, and not 4.9999…
    terms = usage_terms(price(unit_price="0.3"), meter=TOKENS)
    assert terms.rate(Fraction(50, 3)) == 5


BY_EVENT = PercentageByEvent(share=Decimal("0.01"), fixed_per_event=Decimal(1))


def test_r31_a_price_by_event_is_rated_by_its_events_and_not_by_a_total() -> None:
    terms = UsageTerms(BY_EVENT)
    assert terms.is_rated_by_event
    assert terms.rate_events([EventUsage(Decimal(100)), EventUsage(Decimal(50))]) == Decimal("3.5")
    for ask in (terms.rate, terms.explain):
        with pytest.raises(InvariantError) as caught:
            ask(Decimal(150))
        assert caught.value.reason == "EVENTS_NEEDED"


def test_a_price_by_total_is_not_rated_by_events() -> None:
    terms = UsageTerms(PerUnit(Decimal(1)))
    assert (terms.is_rated_by_event, terms.amount_quantity) == (False, None)
    for ask in (terms.rate_events, terms.explain_events):
        with pytest.raises(InvariantError) as caught:
            ask([])
        assert caught.value.reason == "QUANTITY_NEEDED"


def test_r30_included_units_come_off_the_first_events_and_take_their_fees_along() -> None:
    # 150 included: the first event of 100 is gone, 50 of the second are left: 0.50 + 1.
    terms = UsageTerms(BY_EVENT, Decimal(150))
    events = [EventUsage(Decimal(100)), EventUsage(Decimal(100))]
    rated = terms.explain_events(events)
    assert rated.amount_exact == terms.rate_events(events) == Decimal("1.5")
    assert (rated.quantity, rated.included_quantity, rated.billable_quantity) == (200, 150, 50)


def test_r30_more_taken_back_than_events_left_shows_nothing_to_charge() -> None:
    # 5 of 8 are included, 3 are charged with a fee of 1; then all 8 are taken back.
    events = [EventUsage(Decimal(8)), EventUsage(Decimal(-8))]
    rated = UsageTerms(BY_EVENT, Decimal(5)).explain_events(events)
    assert (rated.quantity, rated.included_quantity, rated.billable_quantity) == (0, 0, 0)


def test_an_event_that_is_included_in_part_keeps_that_part_of_its_price() -> None:
    # Of 4 units at 0.10, 1 is included: 3/4 of 0.10 is left.
    terms = UsageTerms(Dynamic("cost"), Decimal(1))
    assert terms.amount_quantity == "cost"
    assert terms.rate_events([EventUsage(Decimal(4), Decimal("0.10"))]) == Decimal("0.075")


def test_each_event_is_converted_for_itself() -> None:
    # 90 s and 30 s are 2 and 1 begun minutes; of the sum it would be 2.
    terms = UsageTerms(BY_EVENT, conversion=Conversion(Decimal(60), ConversionRounding.UP))
    events = [EventUsage(Decimal(90)), EventUsage(Decimal(30))]
    assert terms.explain_events(events).billable_quantity == 3
    assert terms.rate_events(events) == Decimal("2.03")
