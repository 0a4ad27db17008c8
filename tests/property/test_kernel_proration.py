"""Properties of proration: shares of spans that tile a period add up to one."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from metering.period import BillingCycle, Period, PeriodUnit
from metering.proration import ProrationUnit, prorate, prorate_change, proration_share

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia"]
COUNTING = st.sampled_from([ProrationUnit.SECOND, ProrationUnit.DAY, ProrationUnit.DAY_30])
SPLITS = st.lists(st.integers(min_value=0, max_value=10**6), max_size=6)
AMOUNTS = st.decimals(min_value=0, max_value=10**9, places=9)
WHOLES = st.builds(
    lambda anchor, unit, n: BillingCycle(anchor=anchor, unit=unit).whole_period_at(
        anchor + timedelta(days=n)
    ),
    st.datetimes(
        min_value=datetime(2000, 1, 1),  # noqa: DTZ001
        max_value=datetime(2050, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
    st.sampled_from(PeriodUnit),
    st.integers(min_value=-1000, max_value=1000),
)


def instants(whole: Period, splits: list[int]) -> list[datetime]:
    """Returns instants inside the period, in order, its ends included."""
    length = whole.end - whole.start
    return [whole.start, *sorted(whole.start + length * n // 10**6 for n in splits), whole.end]


@given(whole=WHOLES, splits=SPLITS, unit=COUNTING, zone=st.sampled_from(ZONES))
def test_r46_shares_of_the_parts_of_a_period_add_up_to_one(
    whole: Period, splits: list[int], unit: ProrationUnit, zone: str
) -> None:
    shares = [
        proration_share(whole=whole, start=start, end=end, unit=unit, timezone=zone)
        for start, end in pairwise(instants(whole, splits))
    ]
    assert sum(shares) == 1
    assert all(0 <= share <= 1 for share in shares)


@given(whole=WHOLES, split=st.integers(min_value=0, max_value=10**6))
def test_without_proration_any_part_costs_the_whole(whole: Period, split: int) -> None:
    _, at, _ = instants(whole, [split])
    share = proration_share(whole=whole, start=at, end=whole.end, unit=ProrationUnit.NONE)
    assert share == (1 if at < whole.end else 0)


@given(
    whole=WHOLES,
    split=st.integers(min_value=0, max_value=10**6),
    unit=st.sampled_from(ProrationUnit),
    zone=st.sampled_from(ZONES),
    old_amount=AMOUNTS,
    new_amount=AMOUNTS,
)
def test_r48_a_change_there_and_back_costs_nothing(
    whole: Period,
    split: int,
    unit: ProrationUnit,
    zone: str,
    old_amount: Decimal,
    new_amount: Decimal,
) -> None:
    _, at, _ = instants(whole, [split])
    there, back = (
        prorate_change(
            whole=whole, at=at, old_amount=first, new_amount=then, unit=unit, timezone=zone
        )
        for first, then in ((old_amount, new_amount), (new_amount, old_amount))
    )
    assert there.net + back.net == 0
    assert there.credit <= 0 <= there.charge
    assert there.net == there.credit + there.charge


@given(amount=AMOUNTS, shares=st.lists(st.fractions(min_value=0, max_value=1), min_size=1))
def test_prorating_is_exact_and_adds_up(amount: Decimal, shares: list[Fraction]) -> None:
    parts = [prorate(amount, share=share) for share in shares]
    assert sum(parts) == Fraction(amount) * sum(shares)
