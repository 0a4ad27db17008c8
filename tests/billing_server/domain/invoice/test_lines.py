"""Invoice lines: one exact amount, rounded once, under one charge key."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from billing_server.domain.catalog.model import Price, UsagePrice
from billing_server.domain.invoice.lines import (
    BillingTerms,
    charge_key,
    rate_segment,
    usage_lines,
)
from billing_server.domain.invoice.model import InvoiceLine, LineKind
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.subscription.phase import Segment
from metering.errors import InvariantError
from metering.money import Money
from metering.period import Period

Make = Callable[..., BillingTerms]
JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


def usage_price(terms: BillingTerms, key: str) -> UsagePrice:
    return next(price for price in terms.plan.usage_prices if price.key == key)


def whole(terms: BillingTerms, price: Price, *, period: Period = JANUARY) -> Segment:
    """Returns a period as a single segment of a price."""
    share = terms.timeline.share_of(period)
    return Segment(price=price, index=0, span=period, share=share, plan_version=1)


def charged(terms: BillingTerms, key: str, quantity: str) -> InvoiceLine | None:
    """Returns the usage line of January, or of the part of it in which the subscription runs."""
    price, period = usage_price(terms, key), terms.timeline.first_period()
    segment = whole(terms, price, period=period)
    lines = usage_lines(terms, price=price, segment=segment, used=Decimal(quantity))
    return lines[0] if lines else None


def test_a_usage_line_shows_quantities_unit_and_steps(make_terms: Make) -> None:
    terms = make_terms()
    line = charged(terms, "input", "16000")
    assert line is not None
    # 16,000 − 1,000 included = 15,000: 10 + 72 + 25 = 107
    assert (line.quantity, line.included_quantity, line.billable_quantity) == (16000, 1000, 15000)
    assert line.unit == "token"
    assert line.amount_exact == 107
    assert line.amount == Money(10700, "USD")
    assert [step.amount for step in line.steps] == [10, 72, 25]


def test_r27_a_price_without_usage_has_no_line(make_terms: Make) -> None:
    terms = make_terms()
    assert charged(terms, "input", "0") is None


def test_usage_within_the_included_units_is_a_line_of_zero(make_terms: Make) -> None:
    terms = make_terms()
    line = charged(terms, "input", "7")
    assert line is not None
    assert line.amount == Money(0, "USD")


def test_r17_the_line_of_a_maximum_in_a_stub_shows_its_share(make_terms: Make) -> None:
    # 17 to 31 January: 15 of 31 days; 4 seats × 3 = 12, × 15/31 = 5.806… → 5.81
    terms = make_terms(start=datetime(2026, 1, 17, tzinfo=UTC))
    line = charged(terms, "seats", "4")
    assert line is not None
    assert line.proration == Fraction(15, 31)
    assert line.amount_exact == Fraction(180, 31)
    assert line.amount == Money(581, "USD")


@pytest.mark.parametrize(
    ("unit_price", "currency", "quantity", "minor"),
    [
        ("0.0000025", "USD", "1234567", 309),  # R22: 3.0864175 → 3.09
        ("2.665", "USD", "1", 267),  # R39: half up; half even would give 266
        ("1000.5", "JPY", "1", 1001),  # R40: the yen has no minor unit
        ("0.0005", "KWD", "1", 1),  # R40: the dinar has three digits
    ],
)
def test_r39_r40_a_line_is_rounded_half_up_to_the_minor_unit_of_its_currency(
    make_terms: Make, unit_price: str, currency: str, quantity: str, minor: int
) -> None:
    catalog = f"""
meters: [{{key: tokens, aggregation: sum}}]
plans:
  - key: pro
    currency: {currency}
    prices:
      - {{key: input, kind: usage, meter: tokens, model: per_unit, unit_price: "{unit_price}"}}
"""
    terms = make_terms(catalog=catalog)
    line = charged(terms, "input", quantity)
    assert line is not None
    assert line.amount == Money(minor, currency)


def test_r67_the_charge_key_is_unambiguous() -> None:
    def key(subscription: str, price: str) -> str:
        return charge_key(
            subscription=subscription,
            price=price,
            period=JANUARY,
            segment=0,
            kind=LineKind.USAGE,
            sequence=0,
        )

    assert key("sub-1", "input") == "sub-1|input|2026-01-01T00:00:00Z|0|usage|0"
    keys = {key("a|b", "c"), key("a", "b|c"), key("a%7Cb", "c"), key("a", "b%7Cc")}
    assert len(keys) == 4


def test_a_price_whose_meter_was_not_handed_in_is_a_defect(make_terms: Make) -> None:
    terms = make_terms()
    price = UsagePrice(key="x", meter="nowhere", model=PerUnit(Decimal(1)))
    with pytest.raises(InvariantError) as caught:
        rate_segment(terms, price=price, segment=whole(terms, price), used=Decimal(1))
    assert caught.value.reason == "METER_MISSING"
