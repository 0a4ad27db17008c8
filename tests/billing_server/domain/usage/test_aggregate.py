"""States of aggregations: joined in any order, they mean the same quantity."""

from decimal import Decimal
from fractions import Fraction
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.catalog.model import Aggregation, Meter
from billing_server.domain.ports.usage import LatestValue, SeriesUsage
from billing_server.domain.usage.aggregate import (
    NOTHING,
    AggregateState,
    joined,
    quantity_of,
    state_of,
)

DAY_US = 86_400 * 1_000_000


def meter(aggregation: Aggregation, *, decimals: int = 0) -> Meter:
    return Meter(key="m", quantity="m", aggregation=aggregation, decimals=decimals, of="user")


SERIES = (
    SeriesUsage(1, "m", {"user": "a"}, 5, 4, 2, LatestValue(70, "e2", 1), 10),
    SeriesUsage(2, "m", {"user": "b"}, 8, 8, 1, LatestValue(70, "e3", 8), 20),
    SeriesUsage(3, "m", {"user": "a", "x": "1"}, 2, 2, 1, LatestValue(60, "e9", 2), 30),
)


@pytest.mark.parametrize(
    ("aggregation", "quantity"),
    [
        (Aggregation.SUM, Decimal(15)),
        (Aggregation.COUNT, Decimal(15)),
        (Aggregation.MAX, Decimal(8)),
        # Two events at 70: the one with the greater id is the last.
        (Aggregation.LATEST, Decimal(8)),
        # 15 by 4 events.
        (Aggregation.AVERAGE, Decimal("3.75")),
        (Aggregation.UNIQUE_COUNT, Decimal(2)),
        # 60 units × microseconds in a period of 40 of them.
        (Aggregation.TIME_WEIGHTED, Decimal("1.5")),
    ],
)
def test_series_come_together_as_the_aggregation_says(
    aggregation: Aggregation, quantity: Decimal
) -> None:
    found = meter(aggregation)
    assert quantity_of(found, state_of(found, SERIES, whole_us=40)) == quantity


@pytest.mark.parametrize("aggregation", list(Aggregation))
def test_no_usage_is_a_quantity_of_zero(aggregation: Aggregation) -> None:
    assert quantity_of(meter(aggregation), state_of(meter(aggregation), ())) == 0


def test_an_average_without_end_is_a_fraction_and_not_rounded() -> None:
    average = meter(Aggregation.AVERAGE, decimals=1)
    assert quantity_of(average, AggregateState(100, 3)) == Fraction(10, 3)


def test_r19_10_gb_for_10_days_and_20_gb_for_20_of_30_days_are_16_666_gb() -> None:
    levels = meter(Aggregation.TIME_WEIGHTED)
    state = AggregateState(10 * 10 * DAY_US + 20 * 20 * DAY_US, 30 * DAY_US)
    assert quantity_of(levels, state) == Fraction(50, 3)


states = st.builds(
    AggregateState,
    st.integers(-5, 5),
    st.just(0),
    st.one_of(st.none(), st.integers(0, 3)),
    st.sampled_from(["a", "b"]),
)


@given(
    st.lists(states, min_size=1, max_size=5),
    st.randoms(use_true_random=False),
    st.sampled_from([Aggregation.SUM, Aggregation.MAX, Aggregation.AVERAGE]),
)
def test_states_may_be_joined_in_any_order(
    found: list[AggregateState], order: object, aggregation: Aggregation
) -> None:
    plain = [state._replace(last_time_us=None, last_event_id=None) for state in found]
    whole = reduce(lambda first, second: joined(aggregation, first, second), plain)
    order.shuffle(plain)  # type: ignore[attr-defined]
    assert reduce(lambda first, second: joined(aggregation, first, second), plain) == whole


def test_of_two_latest_values_the_one_with_the_later_event_stays() -> None:
    early, late = AggregateState(9, 0, 5, "b"), AggregateState(1, 0, 5, "c")
    assert joined(Aggregation.LATEST, early, late) == late
    assert joined(Aggregation.LATEST, late, early) == late
    assert joined(Aggregation.LATEST, NOTHING, early) == early
