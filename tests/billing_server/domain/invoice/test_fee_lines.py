"""Lines of fixed fees."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from billing_server.domain.catalog.model import OneTimePrice, Price, RecurringPrice
from billing_server.domain.invoice.fee_lines import fee_line
from billing_server.domain.invoice.fees import DueFee
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.invoice.model import LineKind
from billing_server.domain.subscription.phase import Segment
from billing_server.domain.subscription.timeline import Timeline
from metering.errors import InvariantError
from metering.money import Money
from metering.period import Period

Make = Callable[..., BillingTerms]
JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


def whole(terms: BillingTerms, price: Price, *, period: Period = JANUARY) -> Segment:
    """Returns a period as a single segment of a price."""
    share = terms.timeline.share_of(period)
    return Segment(price=price, index=0, span=period, share=share, plan_version=1)


def test_a_fee_of_a_whole_period_is_charged_whole(make_terms: Make) -> None:
    price = RecurringPrice(key="base", amount=Decimal(20), name="Base fee")
    terms = make_terms()
    line = fee_line(terms, fee=DueFee(price, whole(terms, price), JANUARY.start))
    assert line.kind is LineKind.RECURRING
    assert line.description == "Base fee"
    assert line.amount == Money(2000, "USD")
    assert (line.quantity, line.billable_quantity, line.unit) == (1, 1, "")
    assert line.proration is None


def test_r42_a_stub_fee_is_rounded_once_from_the_exact_share(make_terms: Make) -> None:
    # $50 from 17 January: 15 of 31 days. 50 / 31 × 15 = 24.193… → 24.19; a daily rate rounded to
    # 1.61 first would give 24.15.
    terms = make_terms(start=datetime(2026, 1, 17, tzinfo=UTC))
    price = RecurringPrice(key="base", amount=Decimal(50))
    stub = terms.timeline.first_period()
    line = fee_line(terms, fee=DueFee(price, whole(terms, price, period=stub), stub.start))
    assert line.proration == Fraction(15, 31)
    assert line.amount_exact == Fraction(750, 31)
    assert line.amount == Money(2419, "USD")


def test_a_fee_for_each_unit_is_multiplied_by_the_quantity_of_the_subscription(
    make_terms: Make,
) -> None:
    terms = make_terms()
    seats = replace(terms.timeline.subscription, quantities={"seats": Decimal(3)})
    terms = replace(terms, timeline=Timeline(seats, terms.plan))
    price = RecurringPrice(key="seats", amount=Decimal("9.99"), per_unit="seats")
    line = fee_line(terms, fee=DueFee(price, whole(terms, price), JANUARY.start))
    assert (line.quantity, line.unit, line.amount) == (3, "seats", Money(2997, "USD"))


def test_a_fee_for_each_unit_of_what_is_not_set_is_a_defect(make_terms: Make) -> None:
    terms = make_terms()
    price = RecurringPrice(key="seats", amount=Decimal(1), per_unit="seats")
    with pytest.raises(InvariantError) as caught:
        fee_line(terms, fee=DueFee(price, whole(terms, price), JANUARY.start))
    assert caught.value.reason == "QUANTITY_MISSING"


def test_r62_a_one_time_fee_is_never_prorated(make_terms: Make) -> None:
    terms = make_terms(start=datetime(2026, 1, 17, tzinfo=UTC))
    price = OneTimePrice(key="setup", amount=Decimal(99))
    stub = terms.timeline.first_period()
    segment = Segment(price=price, index=0, span=stub, share=Fraction(1), plan_version=1)
    line = fee_line(terms, fee=DueFee(price, segment, stub.start))
    assert (line.kind, line.amount, line.proration) == (
        LineKind.ONE_TIME,
        Money(9900, "USD"),
        None,
    )
