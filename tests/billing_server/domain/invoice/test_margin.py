"""Cost and margin of usage."""

from decimal import Decimal
from fractions import Fraction

from billing_server.domain.invoice.margin import line_margin, margin_of, rate_of
from metering.money import Money


def usd(cents: int) -> Money:
    return Money(cents, "USD")


def test_a_million_tokens_bought_at_2_50_and_sold_at_4_00_leave_37_5_percent() -> None:
    line = line_margin(
        3, quantity=Decimal(1_000_000), amount=usd(400), unit_cost=Decimal("0.0000025")
    )
    assert (line.cost_exact, line.cost, line.margin) == (Decimal("2.5"), usd(250), usd(150))
    margin = margin_of([line], unknown_count=1, currency="USD")
    assert margin is not None
    assert (margin.cost, margin.amount, margin.margin) == (usd(250), usd(400), usd(150))
    assert margin.margin_rate == Fraction(375, 1000)


def test_usage_sold_below_its_cost_has_a_negative_margin() -> None:
    line = line_margin(0, quantity=Decimal(10), amount=usd(50), unit_cost=Decimal("0.1"))
    assert line.margin == usd(-50)
    assert rate_of(line.margin, amount=line.amount) == -1


def test_a_short_segment_of_a_maximum_costs_its_share_r17() -> None:
    # 100 seats at 1.00 in 15 of 31 days: 48.387… → 48.39.
    line = line_margin(
        0,
        quantity=Decimal(100),
        amount=usd(9677),
        unit_cost=Decimal(1),
        share=Fraction(15, 31),
    )
    assert line.cost == usd(4839)


def test_without_a_known_cost_there_is_no_margin_and_without_a_charge_no_rate() -> None:
    assert margin_of([], unknown_count=2, currency="USD") is None
    free = line_margin(0, quantity=Decimal(1), amount=usd(0), unit_cost=Decimal(1))
    margin = margin_of([free], unknown_count=0, currency="USD")
    assert margin is not None
    assert (margin.margin, margin.margin_rate) == (usd(-100), None)
