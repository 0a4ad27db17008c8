"""Which limits hold: the customer's own, those of its plans, and what a new version changes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from billing_server.domain.catalog.limit import Limit, LimitSubject, LimitWindow, WindowUnit
from billing_server.domain.catalog.model import Meter, Plan
from billing_server.domain.limit.in_force import (
    CustomerLimits,
    LimitSource,
    limits_in_force,
    plan_limits,
)
from billing_server.domain.subscription.model import Customer, Subscription, VersionMove
from billing_server.domain.subscription.timeline import Timeline
from metering.limits import LimitKind

START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = START + timedelta(days=9)
METER = Meter(key="seconds", quantity="seconds", decimals=3)


def unit_limit(key: str, most: str, unit: WindowUnit = WindowUnit.DAY) -> Limit:
    return Limit(
        key=key,
        subject=LimitSubject.METER,
        meter="seconds",
        maximum=Decimal(most),
        window=LimitWindow(unit),
    )


PLAN = Plan(key="pro", version=1, currency="USD", limits=(unit_limit("daily", "5"),))
CUSTOMER = Customer(id="acme", currency="USD", timezone="Europe/Berlin")


def timeline(plan: Plan = PLAN, *, number: int = 1, end: datetime | None = None) -> Timeline:
    start = START + timedelta(days=number)
    return Timeline(
        Subscription(
            id=f"sub-{number}",
            customer_id="acme",
            plan_key=plan.key,
            plan_version=1,
            start=start,
            end=end,
        ),
        plan,
    )


def found(
    *timelines: Timeline, customer: Customer = CUSTOMER, at: datetime = NOW, **later: Plan
) -> CustomerLimits:
    return limits_in_force(
        customer,
        timelines=timelines,
        versions={
            each.plan.key: [
                each.plan,
                *(plan for key, plan in later.items() if key == each.plan.key),
            ]
            for each in timelines
        },
        meters={"seconds": METER},
        at=at,
    )


def test_a_plan_limits_the_customers_that_are_on_it() -> None:
    (limit,) = found(timeline()).limits
    assert (limit.key, limit.source, limit.kind) == ("daily", LimitSource.PLAN, LimitKind.UNITS)
    # In thousandths of a second, as the meter counts.
    assert (limit.decimals, limit.maximum) == (3, 5_000)
    assert limit.counts("seconds", dimensions={})
    assert not limit.counts("words", dimensions={})
    assert found().limits == ()


def test_a_customers_own_limit_stands_in_place_of_the_plans_and_beside_others() -> None:
    own = replace(CUSTOMER, limits=(unit_limit("daily", "9"), unit_limit("hourly", "1")))
    daily, hourly = found(timeline(), customer=own).limits
    assert (daily.maximum, daily.source) == (9_000, LimitSource.CUSTOMER)
    assert (hourly.maximum, hourly.source) == (1_000, LimitSource.CUSTOMER)


def test_of_two_subscriptions_with_one_key_the_earlier_one_counts() -> None:
    other = replace(PLAN, key="team", limits=(unit_limit("daily", "7"), unit_limit("x", "1")))
    daily, extra = found(timeline(other, number=2), timeline()).limits
    assert (daily.maximum, extra.maximum) == (5_000, 1_000)


def test_limits_change_when_a_subscription_starts_or_ends() -> None:
    ends = START + timedelta(days=20)
    limits = found(timeline(end=ends), timeline(number=15))
    assert limits.valid_until == START + timedelta(days=15)
    assert found(timeline(end=ends), at=ends).limits == ()


def test_a_version_that_changes_limits_alone_holds_for_everyone_on_the_plan() -> None:
    raised = replace(PLAN, version=2, limits=(unit_limit("daily", "8"),), effective_from=NOW)
    assert found(timeline(), pro=raised).limits[0].maximum == 8_000
    dearer = replace(raised, version=2, name="dearer")
    assert found(timeline(), pro=dearer).limits[0].maximum == 5_000
    again = replace(raised, version=3, limits=())
    assert plan_limits(PLAN, later=[PLAN, raised, again]) == ()
    assert plan_limits(PLAN, later=[dearer, again]) == PLAN.limits


def test_each_kind_of_limit_is_told_by_what_it_counts() -> None:
    limits = (
        Limit(key="a", subject=LimitSubject.MONEY, maximum=Decimal("1.5")),
        Limit(key="b", subject=LimitSubject.BALANCE),
        Limit(key="c", subject=LimitSubject.CONCURRENCY, maximum=Decimal(8)),
        unit_limit("d", "1", WindowUnit.MINUTE),
        unit_limit("e", "1", WindowUnit.ROLLING),
    )
    held = found(customer=replace(CUSTOMER, limits=limits)).limits
    assert [each.kind for each in held] == [
        LimitKind.MONEY,
        LimitKind.MONEY,
        LimitKind.CONCURRENCY,
        LimitKind.RATE,
        LimitKind.ROLLING,
    ]
    assert [each.maximum for each in held[:3]] == [1_500_000, 0, 8]


def test_a_limit_on_a_meter_that_is_gone_holds_nobody() -> None:
    own = replace(CUSTOMER, limits=(replace(unit_limit("a", "1"), meter="gone"),))
    assert found(customer=own).limits == ()


def test_a_billing_period_window_is_that_of_the_subscription() -> None:
    own = replace(CUSTOMER, limits=(unit_limit("a", "1", WindowUnit.BILLING_PERIOD),))
    (limit, _) = found(timeline(), customer=own).limits
    assert limit.span_at(NOW).start == START + timedelta(days=1)


def test_a_subscription_that_moved_has_the_limits_of_its_version_from_then_on() -> None:
    raised = replace(PLAN, version=2, name="dearer", limits=(unit_limit("daily", "8"),))
    moves_at = NOW + timedelta(days=1)
    first = timeline()
    moving = Timeline.of(
        replace(first.subscription, moves=(VersionMove(start=moves_at, version=2),)),
        plans={1: PLAN, 2: raised},
        addons={},
        timezone="UTC",
    )
    before, after = found(moving, pro=raised), found(moving, at=moves_at, pro=raised)
    assert (before.limits[0].maximum, before.valid_until) == (5_000, moves_at)
    assert (after.limits[0].maximum, after.valid_until) == (8_000, None)
