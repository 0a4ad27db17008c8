"""Lines of late usage: the difference of the whole segment, one line a group."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from billing_server.domain.invoice.late import NothingInvoiced
from billing_server.domain.invoice.late_usage import (
    AlreadyInvoiced,
    group_name,
    late_usage_lines,
)
from billing_server.domain.invoice.lines import BillingTerms, usage_lines
from billing_server.domain.invoice.model import InvoiceLine, LineKind
from billing_server.domain.invoice.spend_steps import step_total
from billing_server.domain.ports.invoices import InvoicedGroup, InvoicedUsage
from billing_server.domain.rating.segment_usage import GroupUsage, SegmentUsage, Used
from billing_server.domain.subscription.phase import Segment
from metering.money import Money
from metering.period import Period

Make = Callable[..., BillingTerms]
JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
GROUPED = """
meters: [{key: tokens, aggregation: sum}]
plans:
  - key: pro
    currency: USD
    prices:
      - key: input
        kind: usage
        meter: tokens
        group_by: {dimensions: [project], tiers: GROUP_TIERS}
        model: graduated
        tiers: [{up_to: "100", unit_price: "1"}, {unit_price: "0.5"}]
"""


def late(terms: BillingTerms, key: str, used: Used, invoiced: AlreadyInvoiced) -> list[InvoiceLine]:
    """Returns the late lines of January, or of the part of it in which the subscription runs."""
    price = next(price for price in terms.plan.usage_prices if price.key == key)
    period = terms.timeline.first_period()
    share = terms.timeline.share_of(period)
    segment = Segment(price=price, index=0, span=period, share=share, plan_version=1)
    return late_usage_lines(terms, price=price, segment=segment, used=used, invoiced=invoiced)


def charged_late(
    terms: BillingTerms, key: str, quantity: str, invoiced: AlreadyInvoiced
) -> InvoiceLine | None:
    lines = late(terms, key, Decimal(quantity), invoiced)
    assert len(lines) <= 1
    return lines[0] if lines else None


class Invoiced:
    """What earlier lines carry."""

    def __init__(self, quantity: int, amount_minor: int, late_sequence: int) -> None:
        self.quantity = Decimal(quantity)
        self.amount_minor = amount_minor
        self.late_sequence = late_sequence
        self.groups: dict[str, InvoicedGroup] = {}


def test_r76_late_usage_is_the_difference_of_the_whole_period(make_terms: Make) -> None:
    terms = make_terms()
    # Invoiced: 2,000 tokens, 1,000 of them included: 1,000 × 0.01 = 10.00. Then 1,000 more came:
    # the whole is 10 + 1,000 × 0.008 = 18.00, so the late ones cost 8.00 and not 10.00 again.
    line = charged_late(terms, "input", "3000", Invoiced(2000, 1000, 0))
    assert line is not None
    assert line.kind is LineKind.LATE_USAGE
    assert line.service_period == JANUARY
    assert (line.quantity, line.included_quantity, line.billable_quantity) == (1000, 0, 1000)
    assert line.amount == Money(800, "USD")
    assert line.amount_exact == 8
    assert line.sequence == 1
    assert "18.00 for the whole period less 10.00 invoiced" in line.description


def test_r76_late_usage_counts_the_rounding_of_what_was_invoiced(make_terms: Make) -> None:
    catalog = """
meters: [{key: tokens, aggregation: sum}]
plans:
  - key: pro
    currency: USD
    prices: [{key: input, kind: usage, meter: tokens, model: per_unit, unit_price: "0.004"}]
"""
    terms = make_terms(catalog=catalog)
    # 1 × 0.004 → 0.00 invoiced; both together 0.008 → 0.01: the late one costs 0.01.
    line = charged_late(terms, "input", "2", Invoiced(1, 0, 0))
    assert line is not None
    assert line.amount == Money(1, "USD")


def test_r76_late_usage_of_a_stub_is_rated_with_the_share_of_the_stub(make_terms: Make) -> None:
    terms = make_terms(start=datetime(2026, 1, 17, tzinfo=UTC))
    # 5 seats × 3 × 15/31 = 7.258… → 7.26, less 5.81 for 4 seats
    line = charged_late(terms, "seats", "5", Invoiced(4, 581, 1))
    assert line is not None
    assert line.amount == Money(145, "USD")
    assert line.amount_exact == Fraction(225, 31) - Fraction(581, 100)
    assert line.sequence == 2


def test_nothing_late_gives_no_line(make_terms: Make) -> None:
    terms = make_terms()
    for quantity, invoiced in ((2000, Invoiced(2000, 1000, 1)), (0, NothingInvoiced())):
        line = charged_late(terms, "input", str(quantity), invoiced)
        assert line is None


def test_usage_that_is_late_altogether_has_the_sequence_1(make_terms: Make) -> None:
    terms = make_terms()
    line = charged_late(terms, "input", "1001", NothingInvoiced())
    assert line is not None
    assert line.charge_key == "sub-1|input|2026-01-01T00:00:00Z|0|late_usage|1"


def test_r33_the_steps_of_a_late_line_come_to_its_amount(make_terms: Make) -> None:
    line = charged_late(make_terms(), "input", "3000", Invoiced(2000, 1000, 0))
    assert line is not None
    # 1,000 × 0.01 + 1,000 × 0.008 − 10 = 8
    assert [step.amount for step in line.steps] == [10, 8, -10]
    assert step_total(line.steps) == line.amount_exact


def grouped(make_terms: Make, *, tiers: str) -> BillingTerms:
    return make_terms(catalog=GROUPED.replace("GROUP_TIERS", tiers))


def test_r76_late_usage_of_a_grouped_price_is_a_line_a_group(make_terms: Make) -> None:
    """Per group: a had 90 and has 120 (100 + 20 × 0.5 = 110); b is new; c had its all in time."""
    terms = grouped(make_terms, tiers="per_group")
    lines = late(terms, "input", used(a=120, b=10, c=7), invoiced(a=(90, 9000), c=(7, 700)))
    assert [(line.group, line.quantity, line.amount.amount_minor) for line in lines] == [
        ({"project": "a"}, 30, 2000),
        ({"project": "b"}, 10, 1000),
    ]
    assert "input: project a: late usage (110.00 for the whole period less 90.00" in (
        lines[0].description
    )
    assert lines[0].charge_key == (
        'sub-1|input|2026-01-01T00:00:00Z|0|late_usage|{"project":"a"}|1'
    )


def used(**quantities: int) -> SegmentUsage:
    groups = tuple(
        GroupUsage({"project": name}, Decimal(quantity)) for name, quantity in quantities.items()
    )
    return SegmentUsage(Decimal(sum(quantities.values())), groups=groups)


def invoiced(**parts: tuple[int, int]) -> InvoicedUsage:
    groups = {
        group_name({"project": name} if name else {}): InvoicedGroup(Decimal(quantity), minor)
        for name, (quantity, minor) in parts.items()
    }
    quantities, amounts = zip(*parts.values(), strict=True)
    return InvoicedUsage(Decimal(sum(quantities)), sum(amounts), 0, groups)


def test_r76_under_shared_tiers_a_late_event_moves_the_parts_of_all_groups(
    make_terms: Make,
) -> None:
    """50 and 50 were 50.00 each. With 150 more of b all are 100 + 150 × 0.5 = 175: 35 and 140."""
    terms = grouped(make_terms, tiers="shared")
    lines = late(terms, "input", used(a=50, b=200), invoiced(a=(50, 5000), b=(50, 5000)))
    assert [(line.group["project"], line.amount.amount_minor) for line in lines] == [
        ("a", -1500),
        ("b", 9000),
    ]
    assert [step_total(line.steps) for line in lines] == [-15, 90]


def test_a_group_whose_usage_is_gone_gets_back_what_it_was_charged(make_terms: Make) -> None:
    terms = grouped(make_terms, tiers="per_group")
    (line,) = late(terms, "input", used(a=5), invoiced(a=(5, 500), b=(3, 300)))
    assert (line.group, line.quantity) == ({"project": "b"}, -3)
    assert line.amount == Money(-300, "USD")


def test_a_late_line_of_all_groups_together_is_taken_off_again(make_terms: Make) -> None:
    """Before there was a line a group, one line stood for all of them."""
    terms = grouped(make_terms, tiers="per_group")
    parts = {"a": (5, 500), "": (2, 200)}
    lines = late(terms, "input", used(a=7, b=1), invoiced(**parts))
    assert [(line.group, line.amount.amount_minor) for line in lines] == [
        ({}, -200),
        ({"project": "a"}, 200),
        ({"project": "b"}, 100),
    ]


@pytest.mark.parametrize("tiers", ["shared", "per_group"])
def test_late_lines_and_those_before_come_to_the_lines_of_the_whole(
    make_terms: Make, tiers: str
) -> None:
    terms = grouped(make_terms, tiers=tiers)
    price = terms.plan.usage_prices[0]
    segment = Segment(price=price, index=0, span=JANUARY, share=Fraction(1), plan_version=1)
    first, second = used(a=50, b=80), used(a=51, b=80, c=33)

    def amounts(usage: SegmentUsage) -> dict[str, int]:
        found = usage_lines(terms, price=price, segment=segment, used=usage)
        return {line.group["project"]: line.amount.amount_minor for line in found}

    before = amounts(first)
    known = invoiced(a=(50, before["a"]), b=(80, before["b"]))
    for line in late(terms, "input", second, known):
        name = line.group["project"]
        before[name] = before.get(name, 0) + line.amount.amount_minor
    assert before == amounts(second)
