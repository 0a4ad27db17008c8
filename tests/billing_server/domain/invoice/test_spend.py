"""Commitment and minimum of a whole billing period."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.catalog.model import BillingPeriod, Commitment, Plan
from billing_server.domain.invoice.build import build_periodic
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.invoice.model import LineKind
from billing_server.domain.invoice.spend import (
    COMMITMENT_KEY,
    EarlierLine,
    commitment_adjustment,
    has_spend_terms,
    minimum_shortfall,
    spend_lines,
)
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.subscription.model import Subscription
from billing_server.domain.subscription.phase import Phase
from billing_server.domain.subscription.timeline import Timeline
from metering.money import Money
from metering.period import Period, PeriodUnit

Make = Callable[..., BillingTerms]


def at(month: int, day: int, year: int = 2026) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


JANUARY = Period(at(1, 1), at(2, 1))
FEBRUARY = Period(at(2, 1), at(3, 1))
PLAN = Plan(
    key="pro",
    version=1,
    currency="USD",
    billing_period=BillingPeriod(PeriodUnit.MONTH),
    minimum_spend=Decimal(50),
    commitment=Commitment(amount=Decimal(1000), overage_discount=Decimal("0.2")),
)
SUBSCRIPTION = Subscription(
    id="sub-1", customer_id="acme", plan_key="pro", plan_version=1, start=at(1, 1)
)
CATALOG = """
meters: [{key: calls, aggregation: sum}]
plans:
  - key: pro
    currency: USD
    anchor: calendar
    proration: day
    minimum_spend: "10000"
    prices:
      - {key: base, kind: recurring, amount: "20.00"}
      - {key: year, kind: recurring, amount: "365.00", billing_period: year}
      - {key: calls, kind: usage, meter: calls, model: per_unit, unit_price: "0.01"}
"""


@pytest.mark.parametrize(
    ("usage", "adjustment"),
    [("0", "1000"), ("700", "300"), ("1000", "0"), ("1500", "-100")],
)
def test_r34_below_a_commitment_it_is_made_up_for_and_above_it_the_discount_comes_off(
    usage: str, adjustment: str
) -> None:
    timeline = Timeline(SUBSCRIPTION, PLAN)
    found = commitment_adjustment(timeline, period=JANUARY, usage={at(1, 1): Fraction(usage)})
    assert found == Fraction(adjustment)


def test_r17_commitment_and_minimum_count_each_version_by_its_share_of_the_period() -> None:
    # 15 of 28 February: half of 1,000 and half of 2,000; half of 50 and half of none.
    new = replace(
        PLAN,
        version=2,
        minimum_spend=None,
        commitment=Commitment(amount=Decimal(2000), overage_discount=Decimal("0.5")),
    )
    phases = (Phase(at(1, 1), PLAN), Phase(at(2, 15), new))
    timeline = Timeline(SUBSCRIPTION, PLAN, phases=phases)
    assert commitment_adjustment(timeline, period=FEBRUARY, usage={}) == 1500
    # Each counts its own usage: 500 − 600 + 100 × 0.8, and 1,000 − 1,100 + 100 × 0.5.
    usage = {at(2, 1): Fraction(600), at(2, 15): Fraction(1100)}
    assert commitment_adjustment(timeline, period=FEBRUARY, usage=usage) == -70
    assert minimum_shortfall(timeline, period=FEBRUARY, spent=Fraction(0)) == 25
    assert has_spend_terms(timeline, period=FEBRUARY)


def test_nothing_is_asked_where_the_plan_asks_nothing() -> None:
    plain = replace(PLAN, minimum_spend=None, commitment=None)
    timeline = Timeline(SUBSCRIPTION, plain)
    assert not has_spend_terms(timeline, period=JANUARY)
    assert commitment_adjustment(timeline, period=JANUARY, usage={at(1, 1): Fraction(5)}) == 0
    assert minimum_shortfall(timeline, period=JANUARY, spent=Fraction(5)) == 0


def test_r34_the_minimum_of_a_stub_is_prorated_and_the_fee_in_advance_counts(
    make_terms: Make,
) -> None:
    """10,000 × 2/29 − 36.90 = 652.76: two days of a leap year's February."""
    terms = make_terms(start=at(2, 28, 2028), catalog=CATALOG)
    stub = terms.timeline.first_period()
    build = build_periodic(terms, period=stub, quantities={UsageKey("calls"): Decimal(3552)})
    assert build.invoice is not None
    lines = {line.price: line for line in build.invoice.lines}
    # Invoiced before: 20 × 2/29 = 1.38. Usage: 35.52. Together 36.90; the yearly fee, of which the
    # first part was charged at the start too, does not lie in the stub.
    assert lines["calls"].amount == Money(3552, "USD")
    minimum = lines["minimum_spend"]
    assert (minimum.kind, minimum.amount) == (LineKind.MINIMUM, Money(65276, "USD"))
    assert minimum.amount_exact == Fraction(20000, 29) - Fraction("36.90")
    assert minimum.service_period == stub
    # 10,000 × 2/29, less 36.90.
    assert [(step.quantity, step.amount) for step in minimum.steps] == [
        (Fraction(2, 29), Fraction(20000, 29)),
        (Fraction("36.90"), -Fraction("36.90")),
    ]
    assert minimum.charge_key == "sub-1|minimum_spend|2028-02-28T00:00:00Z|0|minimum|0"


def test_a_later_line_is_the_difference_under_a_key_of_its_own(make_terms: Make) -> None:
    terms = make_terms(catalog=CATALOG)
    terms = replace(terms, timeline=Timeline(SUBSCRIPTION, PLAN))
    earlier = EarlierLine(
        charge_key="x",
        price=COMMITMENT_KEY,
        kind=LineKind.MINIMUM,
        sequence=0,
        service_period=JANUARY,
        amount_minor=30000,
    )
    usage = replace(earlier, price="calls", kind=LineKind.USAGE, amount_minor=70000)
    late = replace(usage, kind=LineKind.LATE_USAGE, amount_minor=80000)
    (line,) = spend_lines(terms, period=JANUARY, lines=[], earlier=[earlier, usage, late])
    # 1,500 in all: −100 in place of +300.
    assert (line.amount, line.kind, line.sequence) == (
        Money(-40000, "USD"),
        LineKind.ADJUSTMENT,
        1,
    )
    assert [step.amount for step in line.steps] == [1000, -1500, 400, -300]
    assert "-100.00 for the whole period less 300.00 invoiced" in line.description
    assert spend_lines(terms, period=JANUARY, lines=[], earlier=[earlier, usage]) == []


COMMITTED = """
meters: [{key: calls, aggregation: sum}]
plans:
  - key: pro
    currency: USD
    anchor: calendar
    proration: day
    prices: [{key: calls, kind: usage, meter: calls, model: per_unit, unit_price: "1"}]
"""


@pytest.mark.parametrize(
    ("after", "total"),
    [
        # 1 of 31 days commits to 1.00, with nothing used: 100.00 + 1.00.
        ("0", "101.00"),
        # 1 − 3 + 2 × 0.5: 1.00 comes off the 3.00 alone.
        ("3", "102.00"),
    ],
)
def test_r58_a_commitment_counts_no_usage_from_before_it_though_the_price_is_the_same(
    make_terms: Make, after: str, total: str
) -> None:
    terms = make_terms(catalog=COMMITTED)
    plan = terms.timeline.plan
    commitment = Commitment(amount=Decimal(31), overage_discount=Decimal("0.5"))
    phases = (
        Phase(at(1, 1), plan),
        Phase(at(1, 31), replace(plan, version=2, commitment=commitment)),
    )
    changed = replace(terms, timeline=replace(terms.timeline, phases=phases))
    quantities = {UsageKey("calls", 0): Decimal(100), UsageKey("calls", 1): Decimal(after)}
    build = build_periodic(changed, period=JANUARY, quantities=quantities)
    assert build.invoice is not None
    assert build.invoice.total.decimal_string() == total


@given(
    usage=st.integers(0, 10**7).map(lambda cents: Fraction(cents, 100)),
    committed=st.integers(1, 10**6),
    discount=st.integers(0, 100),
)
def test_what_is_paid_under_a_commitment_is_never_less_than_it_and_never_falls_with_usage(
    usage: Fraction, committed: int, discount: int
) -> None:
    plan = replace(
        PLAN,
        commitment=Commitment(
            amount=Decimal(committed), overage_discount=Decimal(discount).scaleb(-2)
        ),
    )
    timeline = Timeline(SUBSCRIPTION, plan)

    def paid(amount: Fraction) -> Fraction:
        return amount + commitment_adjustment(timeline, period=JANUARY, usage={at(1, 1): amount})

    assert paid(usage) >= committed
    assert paid(usage + 1) >= paid(usage)


def test_what_is_missing_to_a_minimum_is_taxed_as_the_prices_of_the_plan(make_terms: Make) -> None:
    terms = make_terms(
        catalog="""
meters: [{key: calls, aggregation: sum}]
plans:
  - key: pro
    currency: EUR
    anchor: calendar
    minimum_spend: "119"
    prices:
      - {key: calls, kind: usage, meter: calls, model: per_unit, unit_price: "1",
         tax_category: saas, tax_behavior: inclusive}
tax_rates:
  - {key: saas, name: VAT, rate: "0.19", country: DE, category: saas}
  - {key: other, name: VAT, rate: "0.5", country: DE}
"""
    )
    invoice = build_periodic(
        terms, period=JANUARY, quantities={UsageKey("calls"): Decimal(50)}
    ).invoice
    assert invoice is not None
    # 50.00 and 69.00 are 119.00, with 19.00 inside.
    (tax,) = invoice.tax
    assert (tax.rate.key, tax.base.amount_minor, tax.amount.amount_minor) == ("saas", 10000, 1900)
    assert (invoice.total.amount_minor, invoice.tax_total.amount_minor) == (11900, 0)
