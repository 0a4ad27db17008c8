"""A quantity is priced once per customer."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from billing_server.domain.catalog.model import Plan, UsagePrice
from billing_server.domain.rating.assignment import CustomerAssigner, UsageKey
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.subscription.model import Subscription
from billing_server.domain.subscription.phase import Phase
from billing_server.domain.subscription.timeline import Timeline
from metering.period import Period


def at(month: int, day: int) -> datetime:
    return datetime(2026, month, day, tzinfo=UTC)


def timeline(
    subscription: str,
    *,
    start: datetime,
    end: datetime | None = None,
    meter: str = "tokens",
    **where: str,
) -> Timeline:
    price = UsagePrice(
        key=f"{subscription}-{meter}", meter=meter, where=where, model=PerUnit(Decimal(1))
    )
    return Timeline(
        Subscription(
            id=subscription,
            customer_id="acme",
            plan_key="pro",
            plan_version=1,
            start=start,
            end=end,
        ),
        Plan(key="pro", version=1, currency="USD", prices=(price,)),
    )


def owner(assigner: CustomerAssigner, when: datetime, **dimensions: str) -> str | None:
    assignment = assigner.assign("tokens", dimensions=dimensions, at=when)
    if assignment.timeline is None:
        assert not assignment.is_priced
        return None
    return assignment.timeline.subscription.id


def test_the_earliest_started_active_subscription_with_a_price_is_charged() -> None:
    assigner = CustomerAssigner(
        [
            timeline("b", start=at(1, 10)),
            timeline("a", start=at(2, 1)),
            timeline("c", start=at(1, 10)),
        ]
    )
    assert owner(assigner, at(2, 5)) == "b"
    assert owner(assigner, at(1, 10)) == "b"


def test_r21_usage_before_the_start_and_from_the_end_on_is_not_charged() -> None:
    assigner = CustomerAssigner([timeline("a", start=at(2, 1), end=at(3, 1))])
    assert owner(assigner, at(1, 31)) is None
    assert owner(assigner, at(2, 1)) == "a"
    assert owner(assigner, at(2, 28)) == "a"
    assert owner(assigner, at(3, 1)) is None


def test_a_subscription_without_a_matching_price_is_passed_over() -> None:
    assigner = CustomerAssigner(
        [timeline("a", start=at(1, 1), model="large"), timeline("b", start=at(2, 1))]
    )
    assert owner(assigner, at(2, 5), model="large") == "a"
    assert owner(assigner, at(2, 5), model="small") == "b"


def test_the_dimension_subscription_names_who_is_charged() -> None:
    assigner = CustomerAssigner([timeline("a", start=at(1, 1)), timeline("b", start=at(2, 1))])
    assert owner(assigner, at(2, 5), subscription="b") == "b"


def test_a_wrong_name_is_unpriced_and_charges_nobody_else() -> None:
    assigner = CustomerAssigner([timeline("a", start=at(1, 1))])
    assert owner(assigner, at(2, 5), subscription="nobody") is None


def test_the_answer_names_period_price_and_the_span_in_which_it_holds() -> None:
    assigner = CustomerAssigner(
        [
            timeline("a", start=at(1, 1), end=at(2, 10)),
            timeline("b", start=at(1, 20)),
        ]
    )
    series = assigner.series("tokens", dimensions={})
    first = series.at(at(2, 5))
    assert first.price is not None
    assert first.price.key == "a-tokens"
    # The last period of a is cut by its end.
    assert first.period == Period(at(2, 1), at(2, 10))
    assert (first.valid_from, first.valid_until) == (at(2, 1), at(2, 10))
    second = series.at(at(2, 10))
    assert second.price is not None
    assert second.price.key == "b-tokens"
    assert second.period == Period(at(1, 20), at(2, 20))
    # It holds from the end of a on, not from the start of its own period.
    assert (second.valid_from, second.valid_until) == (at(2, 10), at(2, 20))
    # Back again: what is remembered is never used outside its span.
    assert series.at(at(2, 5)) == first


def test_unpriced_usage_holds_until_the_next_subscription_starts() -> None:
    series = CustomerAssigner([timeline("a", start=at(2, 1))]).series("tokens", dimensions={})
    nobody = series.at(at(1, 15))
    assert nobody.valid_until == at(2, 1)
    assert series.at(at(2, 1)).is_priced


def test_a_period_is_cut_where_any_subscription_starts_or_ends() -> None:
    assigner = CustomerAssigner(
        [
            timeline("a", start=at(1, 1), end=at(2, 10)),
            timeline("b", start=at(2, 1)),
            timeline("c", start=at(2, 20), end=at(3, 1)),
        ]
    )
    assert assigner.constant_spans(Period(at(2, 1), at(3, 1))) == [
        Period(at(2, 1), at(2, 10)),
        Period(at(2, 10), at(2, 20)),
        Period(at(2, 20), at(3, 1)),
    ]


def test_r32_an_added_price_charges_from_its_own_start_and_cuts_the_spans() -> None:
    """Before it another subscription charges, which has a price for the usage, or none does."""
    first, second = timeline("a", start=at(1, 1)), timeline("b", start=at(1, 5))
    added = replace(first.subscription, price_starts={"a-tokens": at(2, 1)})
    alone = CustomerAssigner([Timeline(added, first.plan)])
    assert owner(alone, at(1, 31)) is None
    assert owner(alone, at(2, 1)) == "a"
    together = CustomerAssigner([Timeline(added, first.plan), second])
    assert owner(together, at(1, 31)) == "b"
    before = together.assign("tokens", dimensions={}, at=at(1, 31))
    assert before.valid_until == at(2, 1)
    assert owner(together, at(2, 1)) == "a"
    assert together.constant_spans(Period(at(1, 20), at(2, 20))) == [
        Period(at(1, 20), at(2, 1)),
        Period(at(2, 1), at(2, 20)),
    ]


def test_r17_usage_counts_in_the_segment_that_holds_it_and_the_spans_are_cut_there() -> None:
    old = timeline("a", start=at(1, 1))
    dearer = replace(old.plan.usage_prices[0], model=PerUnit(Decimal(2)))
    phases = (Phase(at(1, 1), old.plan), Phase(at(2, 15), replace(old.plan, prices=(dearer,))))
    assigner = CustomerAssigner([Timeline(old.subscription, old.plan, phases=phases)])
    february = Period(at(2, 1), at(3, 1))
    first, second = assigner.constant_spans(february)
    before = assigner.assign("tokens", dimensions={}, at=first.start)
    after = assigner.assign("tokens", dimensions={}, at=second.start)
    assert (before.usage_key, after.usage_key) == (UsageKey("a-tokens", 0), UsageKey("a-tokens", 1))
    # Both count in one period; each holds only as long as its segment.
    assert before.period == after.period == february
    assert (before.valid_from, before.valid_until) == (at(2, 1), at(2, 15))
    assert (after.valid_from, after.valid_until) == (at(2, 15), at(3, 1))
    assert before.price == old.plan.usage_prices[0]
    assert after.price == dearer
    assert before.segment is not None
    assert before.segment.share == Fraction(1, 2)


def test_a_price_that_a_later_phase_lacks_charges_until_then() -> None:
    old = timeline("a", start=at(1, 1))
    phases = (Phase(at(1, 1), old.plan), Phase(at(2, 15), replace(old.plan, prices=())))
    assigner = CustomerAssigner([Timeline(old.subscription, old.plan, phases=phases)])
    assert owner(assigner, at(2, 14)) == "a"
    assert owner(assigner, at(2, 15)) is None
