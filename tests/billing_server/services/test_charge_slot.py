"""A running charge is rated from its state and rounded once."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from billing_server.domain.catalog.model import Aggregation, Meter, TierScope, UsagePrice
from billing_server.domain.ports.usage import ChargeKey
from billing_server.domain.rating.assignment import Assignment, CustomerAssigner
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.rating.percentage import PercentageByEvent
from billing_server.domain.rating.price_model import EventUsage
from billing_server.domain.rating.usage import UsageTerms
from billing_server.domain.usage.aggregate import AggregateState
from billing_server.services.charge_slot import (
    ChargeSlot,
    charge_keys,
    charge_row,
    charge_slot,
    group_keys,
    state_of_row,
)
from metering.errors import InvariantError
from metering.money import minor_unit_digits
from metering.period import Period

JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
KEY = ChargeKey("acme", "sub", 0, "price", 0)
TOKENS = Meter(key="m", quantity="m")
PRICE = UsagePrice(key="price", meter="m", model=PerUnit(Decimal(1)))


def slot(
    price: str,
    *,
    meter: Meter = TOKENS,
    currency: str = "USD",
    share: Fraction = Fraction(1),
    is_part: bool = False,
) -> ChargeSlot:
    return ChargeSlot(
        key=KEY,
        terms=UsageTerms(PerUnit(Decimal(price)), amount_share=share),
        meter=meter,
        currency_digits=minor_unit_digits(currency),
        span=JANUARY,
        assigner=CustomerAssigner([]),
        is_part=is_part,
    )


@pytest.mark.parametrize(
    ("price", "quantity", "decimals", "currency", "exact", "minor"),
    [
        ("0.0000025", 1_234_567, 0, "USD", "3.0864175", 309),  # R22
        ("1000.5", 1, 0, "JPY", "1000.5", 1001),  # R40
        ("0.001", 1_500, 3, "KWD", "0.0015", 2),  # 1.5 × 0.001, half up to 3 digits.
    ],
)
def test_a_charge_is_rounded_once_from_the_exact_amount(
    price: str, quantity: int, decimals: int, currency: str, exact: str, minor: int
) -> None:
    meter = Meter(key="m", quantity="m", decimals=decimals)
    row = charge_row(slot(price, meter=meter, currency=currency), AggregateState(quantity))
    assert (row.amount_exact, row.amount_minor) == (Decimal(exact), minor)


def test_an_amount_that_is_not_finite_is_shown_to_18_places_and_rounded_exactly() -> None:
    row = charge_row(slot("1", share=Fraction(1, 3)), AggregateState(2))
    assert row.amount_exact == Decimal("0.666666666666666667")
    assert row.amount_minor == 67


def test_an_average_is_rated_as_the_fraction_that_it_is() -> None:
    meter = Meter(key="m", quantity="m", aggregation=Aggregation.AVERAGE)
    # A third of 0.015 are 0.005 exactly, which round up; 0.00499… would not.
    row = charge_row(slot("0.015", meter=meter), AggregateState(1, 3))
    assert (row.quantity, row.value_count, row.amount_minor) == (1, 3, 1)
    assert state_of_row(row) == AggregateState(1, 3)


def test_an_amount_that_no_invoice_holds_is_refused() -> None:
    with pytest.raises(InvariantError) as raised:
        charge_row(slot("1"), AggregateState(10**13 + 1))
    assert raised.value.reason == "AMOUNT_TOO_LARGE"
    # 10^13 × 1.00 are 10^15 cents, which is the bound.
    assert charge_row(slot("1"), AggregateState(10**13)).amount_minor == 10**15


def test_the_part_of_a_group_keeps_a_quantity_and_no_amount() -> None:
    row = charge_row(slot("1", is_part=True), AggregateState(7))
    assert (row.quantity, row.amount_exact, row.amount_minor) == (7, 0, 0)


def test_a_price_that_is_rated_by_event_is_rated_by_its_events() -> None:
    by_event = ChargeSlot(
        key=KEY,
        terms=UsageTerms(PercentageByEvent(share=Decimal("0.01"), fixed_per_event=Decimal(1))),
        meter=TOKENS,
        currency_digits=2,
        span=JANUARY,
        assigner=CustomerAssigner([]),
    )
    events = [EventUsage(Decimal(100)), EventUsage(Decimal(300))]
    assert by_event.is_rated_by_event
    # 1 % of 400 and a fee for each of two.
    assert charge_row(by_event, AggregateState(400), events=events).amount_minor == 600


def test_r32_a_grouped_price_has_the_charge_of_the_group_and_with_shared_tiers_the_whole() -> None:
    grouped = UsagePrice(
        key="price", meter="m", model=PerUnit(Decimal(1)), group_by=("project", "team")
    )
    own = UsagePrice(
        key="price",
        meter="m",
        model=PerUnit(Decimal(1)),
        group_by=("project",),
        group_tiers=TierScope.PER_GROUP,
    )
    dimensions = {"project": "a", "region": "eu"}
    assert group_keys(PRICE, dimensions=dimensions) == ("",)
    assert group_keys(grouped, dimensions=dimensions) == ("", '{"project":"a","team":""}')
    assert group_keys(own, dimensions=dimensions) == ('{"project":"a"}',)


def test_what_no_price_charges_has_no_charge() -> None:
    unpriced = Assignment(None, None, None, JANUARY.start, JANUARY.end)
    assert charge_keys(unpriced, customer_id="acme", dimensions={}) == ()
    with pytest.raises(InvariantError) as raised:
        charge_slot(KEY, assignment=unpriced, meter=TOKENS, assigner=CustomerAssigner([]))
    assert raised.value.reason == "USAGE_UNPRICED"
