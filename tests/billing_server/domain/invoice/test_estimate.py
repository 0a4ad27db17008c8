"""Where a running period is heading."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.catalog.model import Aggregation, Meter, UsagePrice
from billing_server.domain.invoice.estimate import elapsed_share, project_quantities
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.subscription.phase import Segment
from metering.period import Period

TOKENS = Meter(key="tokens", quantity="tokens")
PEAK = Meter(key="peak", quantity="users", aggregation=Aggregation.MAX)
METERS = {meter.key: meter for meter in (TOKENS, PEAK)}


def april(day: int) -> datetime:
    return datetime(2026, 4, day, tzinfo=UTC)


APRIL = Period(april(1), datetime(2026, 5, 1, tzinfo=UTC))


def segment(
    meter: Meter, *, span: Period = APRIL, index: int = 0, unit_price: str = "1"
) -> tuple[UsagePrice, Segment]:
    price = UsagePrice(key=meter.key, meter=meter.key, model=PerUnit(Decimal(unit_price)))
    return price, Segment(price, index, span, Fraction(1), 1)


def project(
    *segments: tuple[UsagePrice, Segment], now: datetime, **used: int
) -> dict[UsageKey, Decimal]:
    quantities = {UsageKey(key): Decimal(value) for key, value in used.items()}
    return project_quantities(segments, quantities=quantities, meters=METERS, now=now)


def test_400_units_in_10_of_30_days_become_1200() -> None:
    assert project(segment(TOKENS), now=april(11), tokens=400) == {UsageKey("tokens"): 1200}


def test_a_quantity_that_does_not_add_up_stays_as_it_is() -> None:
    assert project(segment(PEAK), now=april(11), peak=7) == {UsageKey("peak"): 7}


def test_an_estimate_is_rounded_half_up_to_the_meters_decimals() -> None:
    # 1 unit in 20 of 30 days is 1.5 in all.
    assert project(segment(TOKENS), now=april(21), tokens=1) == {UsageKey("tokens"): 2}


def test_a_segment_that_is_over_stays_and_one_to_come_goes_on_at_the_pace_r17() -> None:
    first = segment(TOKENS, span=Period(april(1), april(11)))
    second = segment(TOKENS, span=Period(april(11), april(21)), index=1)
    third = segment(TOKENS, span=Period(april(21), APRIL.end), index=2)
    quantities = {UsageKey("tokens", 0): Decimal(70), UsageKey("tokens", 1): Decimal(50)}
    projected = project_quantities(
        (first, second, third), quantities=quantities, meters=METERS, now=april(16)
    )
    # 50 in 5 days: 100 in the ten of the second, 100 in the ten of the third.
    assert projected == {
        UsageKey("tokens", 0): 70,
        UsageKey("tokens", 1): 100,
        UsageKey("tokens", 2): 100,
    }


def test_no_usage_is_estimated_as_none() -> None:
    assert project(segment(TOKENS), now=april(11)) == {}


@given(st.integers(0, 10**12), st.integers(1, 29))
def test_an_estimate_is_never_less_than_what_was_used(used: int, day: int) -> None:
    found = project(segment(TOKENS), now=april(1 + day), tokens=used)
    assert found.get(UsageKey("tokens"), Decimal(0)) >= used


def test_a_period_has_passed_by_a_share_from_none_to_all() -> None:
    assert elapsed_share(APRIL, now=april(1)) == 0
    assert elapsed_share(APRIL, now=april(11)) == Fraction(1, 3)
    assert elapsed_share(APRIL, now=datetime(2026, 6, 1, tzinfo=UTC)) == 1
