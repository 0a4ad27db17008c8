"""The arithmetic of commitment and minimum, step by step, and in words."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from billing_server.domain.catalog.model import BillingPeriod, Commitment, Plan
from billing_server.domain.invoice.spend_steps import commitment_steps, minimum_steps, step_total
from billing_server.domain.rating.price_model import RatingStep
from billing_server.domain.rating.step_text import step_text
from billing_server.domain.rating.steps import steps_to_list
from billing_server.domain.subscription.model import Subscription
from billing_server.domain.subscription.phase import Phase
from billing_server.domain.subscription.timeline import Timeline
from metering.period import Period, PeriodUnit
from metering.proration import ProrationUnit

FEBRUARY = Period(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
PLAN = Plan(
    key="pro",
    version=1,
    currency="USD",
    billing_period=BillingPeriod(PeriodUnit.MONTH),
    proration=ProrationUnit.DAY,
    minimum_spend=Decimal(50),
    commitment=Commitment(amount=Decimal(1000), overage_discount=Decimal("0.2")),
)
SUBSCRIPTION = Subscription(
    id="sub-1",
    customer_id="acme",
    plan_key="pro",
    plan_version=1,
    start=datetime(2026, 1, 1, tzinfo=UTC),
)
TIMELINE = Timeline(SUBSCRIPTION, PLAN)


def words(steps: tuple[RatingStep, ...]) -> list[str]:
    return [step_text(step) for step in steps_to_list(steps)]


@pytest.mark.parametrize(
    ("usage", "said"),
    [
        ("0", ["committed: 1000"]),
        ("700", ["committed: 1000", "less what is charged: -700"]),
        (
            "1500",
            ["committed: 1000", "less what is charged: -1500", "over 1000: 500 × 0.8 = 400"],
        ),
    ],
)
def test_a_commitment_is_told_with_what_counts_towards_it_and_what_lies_above(
    usage: str, said: list[str]
) -> None:
    used = {FEBRUARY.start: Fraction(usage)}
    assert words(commitment_steps(TIMELINE, period=FEBRUARY, usage=used)) == said


@pytest.mark.parametrize(
    ("spent", "said"),
    [
        ("36.90", ["minimum spend: 50", "less what is charged: -36.9"]),
        ("60", ["minimum spend: 50", "less what is charged, as far as it counts of 60: -50"]),
    ],
)
def test_a_minimum_is_told_with_what_is_charged_already(spent: str, said: list[str]) -> None:
    assert words(minimum_steps(TIMELINE, period=FEBRUARY, spent=Fraction(spent))) == said


def test_r17_each_version_is_told_with_its_share_of_the_period() -> None:
    # 7 of 28 days at 50, 21 of 28 at 100.
    phases = (
        Phase(SUBSCRIPTION.start, PLAN),
        Phase(
            datetime(2026, 2, 8, tzinfo=UTC),
            Plan(
                key="pro",
                version=2,
                currency="USD",
                billing_period=PLAN.billing_period,
                proration=ProrationUnit.DAY,
                minimum_spend=Decimal(100),
            ),
        ),
    )
    timeline = Timeline(SUBSCRIPTION, PLAN, phases=phases)
    steps = minimum_steps(timeline, period=FEBRUARY, spent=Fraction(0))
    assert words(steps) == [
        "minimum spend: 0.25 × 50 = 12.5",
        "minimum spend: 0.75 × 100 = 75",
    ]
    assert step_total(steps) == Fraction("87.5")
    assert words(commitment_steps(timeline, period=FEBRUARY, usage={})) == [
        "committed: 0.25 × 1000 = 250"
    ]


@pytest.mark.parametrize("unit", list(ProrationUnit))
def test_r17_phases_that_ask_for_the_same_are_one_in_every_unit_of_proration(
    unit: ProrationUnit,
) -> None:
    """An add-on or an override in mid-period changes nothing of what the plan asks."""
    plan = replace(PLAN, proration=unit)
    later = Phase(datetime(2026, 2, 8, 12, tzinfo=UTC), replace(plan, name="Pro"))
    phases = (Phase(SUBSCRIPTION.start, plan), later)
    timeline = Timeline(SUBSCRIPTION, plan, phases=phases)
    assert words(minimum_steps(timeline, period=FEBRUARY, spent=Fraction(0))) == [
        "minimum spend: 50"
    ]
    assert words(commitment_steps(timeline, period=FEBRUARY, usage={})) == ["committed: 1000"]


def test_r50_without_proration_two_minimums_of_a_period_share_it_by_the_second() -> None:
    plan = replace(PLAN, proration=ProrationUnit.NONE)
    dearer = replace(plan, version=2, minimum_spend=Decimal(100))
    phases = (
        Phase(SUBSCRIPTION.start, plan),
        Phase(datetime(2026, 2, 8, tzinfo=UTC), dearer),
    )
    timeline = Timeline(SUBSCRIPTION, plan, phases=phases)
    assert step_total(minimum_steps(timeline, period=FEBRUARY, spent=Fraction(0))) == Fraction(
        "87.5"
    )
