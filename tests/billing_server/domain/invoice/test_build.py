"""Building invoices from terms and usage."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing_server.domain.invoice.build import (
    build_late,
    build_periodic,
    build_start,
    build_upcoming,
)
from billing_server.domain.invoice.late import LatePeriod, NothingInvoiced
from billing_server.domain.invoice.late_usage import InvoicedPart
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.invoice.model import (
    Invoice,
    InvoiceReason,
    InvoiceState,
    LineKind,
    UnpricedUsage,
)
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.subscription.phase import Phase
from billing_server.domain.subscription.timeline import Timeline
from metering.errors import InvariantError
from metering.money import Money
from metering.period import Period

INPUT = UsageKey("input")
SEATS = UsageKey("seats")


Make = Callable[..., BillingTerms]
JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
FEBRUARY = Period(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
USAGE_ONLY = """
meters: [{key: tokens, aggregation: sum}]
plans:
  - key: pro
    currency: USD
    prices: [{key: input, kind: usage, meter: tokens, model: per_unit, unit_price: "0.01"}]
"""


def shown(invoice: Invoice | None) -> list[tuple[str, str, Period, str]]:
    assert invoice is not None
    return [
        (line.price, line.kind.value, line.service_period, line.amount.decimal_string())
        for line in invoice.lines
    ]


class Invoiced:
    """What earlier lines carry."""

    def __init__(self, quantity: int, amount_minor: int) -> None:
        self.quantity = Decimal(quantity)
        self.amount_minor = amount_minor
        self.late_sequence = 0
        self.groups: dict[str, InvoicedPart] = {}


def late_january(quantity: int, invoiced: Invoiced) -> LatePeriod:
    return LatePeriod(
        period=JANUARY,
        quantities={INPUT: Decimal(quantity)},
        invoiced={INPUT: invoiced},
    )


def test_the_start_is_invoiced_with_the_fees_in_advance_of_the_first_period(
    make_terms: Make,
) -> None:
    terms = make_terms(start=datetime(2026, 1, 16, tzinfo=UTC))
    invoice = build_start(terms).invoice
    stub = Period(datetime(2026, 1, 16, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    # 20 × 16/31 = 10.3225… → 10.32; the fee in arrears waits for the end of the period.
    assert shown(invoice) == [("base", "recurring", stub, "10.32")]
    assert invoice is not None
    assert (invoice.reason, invoice.cause) == (InvoiceReason.START, "sub-1")
    assert invoice.period == stub


def test_r69_a_plan_without_fees_in_advance_has_no_start_invoice(make_terms: Make) -> None:
    assert build_start(make_terms(catalog=USAGE_ONLY)).invoice is None


def test_r63_a_renewal_holds_the_usage_of_the_old_and_the_fee_of_the_new_period(
    make_terms: Make,
) -> None:
    build = build_periodic(
        make_terms(),
        period=JANUARY,
        quantities={INPUT: Decimal(16000), SEATS: Decimal(2)},
    )
    # In the order of the plan; each line with its own service period.
    assert shown(build.invoice) == [
        ("base", "recurring", FEBRUARY, "20.00"),
        ("input", "usage", JANUARY, "107.00"),
        ("support", "recurring", JANUARY, "10.00"),
        ("seats", "usage", JANUARY, "6.00"),
    ]
    assert build.invoice is not None
    assert build.invoice.total == Money(14300, "USD")
    assert (build.invoice.reason, build.invoice.cause) == (
        InvoiceReason.PERIODIC,
        "2026-01-01T00:00:00Z",
    )


def test_the_last_period_brings_no_further_fee(make_terms: Make) -> None:
    terms = make_terms(end=datetime(2026, 2, 1, tzinfo=UTC))
    build = build_periodic(terms, period=JANUARY, quantities={})
    assert shown(build.invoice) == [("support", "recurring", JANUARY, "10.00")]


def test_r69_a_period_without_lines_is_not_invoiced(make_terms: Make) -> None:
    build = build_periodic(make_terms(catalog=USAGE_ONLY), period=JANUARY, quantities={})
    assert build.invoice is None


def test_r76_late_usage_stands_last_with_its_true_service_period(make_terms: Make) -> None:
    build = build_periodic(
        make_terms(),
        period=FEBRUARY,
        quantities={INPUT: Decimal(500)},
        late=[late_january(3000, Invoiced(2000, 1000))],
    )
    assert shown(build.invoice)[-1] == ("input", "late_usage", JANUARY, "8.00")


def test_a_late_difference_below_zero_is_held_back_and_said(make_terms: Make) -> None:
    build = build_periodic(
        make_terms(),
        period=FEBRUARY,
        quantities={},
        late=[late_january(1000, Invoiced(2000, 1000))],
    )
    assert [line.amount for line in build.held_back] == [Money(-1000, "USD")]
    assert all(kind != "late_usage" for _, kind, _, _ in shown(build.invoice))


def test_a_late_invoice_holds_late_usage_alone(make_terms: Make) -> None:
    build = build_late(make_terms(), late=late_january(3000, Invoiced(2000, 1000)), sequence=1)
    assert shown(build.invoice) == [("input", "late_usage", JANUARY, "8.00")]
    assert build.invoice is not None
    assert (build.invoice.reason, build.invoice.cause) == (
        InvoiceReason.LATE,
        "2026-01-01T00:00:00Z+1",
    )


def test_late_usage_that_costs_nothing_makes_no_late_invoice(make_terms: Make) -> None:
    # 500 tokens more, all within the 1,000 that are included.
    build = build_late(make_terms(), late=late_january(900, Invoiced(400, 0)), sequence=1)
    assert build.invoice is None


def test_late_usage_of_a_price_that_had_none_is_charged_whole(make_terms: Make) -> None:
    late = LatePeriod(period=JANUARY, quantities={SEATS: Decimal(2)}, invoiced={})
    build = build_periodic(make_terms(), period=FEBRUARY, quantities={}, late=[late])
    assert shown(build.invoice)[-1] == ("seats", "late_usage", JANUARY, "6.00")
    assert NothingInvoiced().amount_minor == 0


def test_the_upcoming_invoice_has_the_lines_that_the_final_one_will_have(
    make_terms: Make,
) -> None:
    terms, quantities = make_terms(), {INPUT: Decimal(16000)}
    unpriced = UnpricedUsage(
        meter="images", dimensions={"model": "new"}, quantity=Decimal(3), unit="image"
    )
    upcoming = build_upcoming(terms, period=JANUARY, quantities=quantities, unpriced=[unpriced])
    final = build_periodic(terms, period=JANUARY, quantities=quantities).invoice
    assert final is not None
    assert upcoming.state is InvoiceState.DRAFT
    assert upcoming.unpriced == (unpriced,)
    assert replace(upcoming, unpriced=()) == final


def test_an_upcoming_invoice_without_lines_is_shown_all_the_same(make_terms: Make) -> None:
    upcoming = build_upcoming(make_terms(catalog=USAGE_ONLY), period=JANUARY, quantities={})
    assert upcoming.lines == ()
    assert upcoming.total == Money(0, "USD")


def test_usage_of_a_price_that_the_plan_does_not_have_is_a_defect(make_terms: Make) -> None:
    with pytest.raises(InvariantError) as caught:
        build_periodic(make_terms(), period=JANUARY, quantities={UsageKey("nothing"): Decimal(1)})
    assert caught.value.reason == "USAGE_WITHOUT_PRICE"


def test_r38_equal_inputs_give_equal_invoices(make_terms: Make) -> None:
    first = build_periodic(make_terms(), period=JANUARY, quantities={INPUT: Decimal("5")})
    second = build_periodic(make_terms(), period=JANUARY, quantities={INPUT: Decimal("5.0")})
    assert first.invoice == second.invoice


def test_r41_81_small_lines_are_rounded_once_each_and_the_total_is_their_sum(
    make_terms: Make,
) -> None:
    prices = "\n".join(
        f'      - {{key: p{number}, kind: recurring, amount: "0.335", bill: in_arrears}}'
        for number in range(81)
    )
    terms = make_terms(catalog=f"plans:\n  - key: pro\n    currency: USD\n    prices:\n{prices}\n")
    invoice = build_periodic(terms, period=JANUARY, quantities={}).invoice
    assert invoice is not None
    # Each line is 0.335 → 0.34; 81 × 0.34 = 27.54, what the reader of the lines adds up.
    assert invoice.total == Money(2754, "USD")


def test_r67_no_charge_key_stands_on_two_invoices(make_terms: Make) -> None:
    terms = make_terms()
    invoices = [
        build_start(terms).invoice,
        build_periodic(terms, period=JANUARY, quantities={INPUT: Decimal(1)}).invoice,
        build_periodic(
            terms,
            period=FEBRUARY,
            quantities={INPUT: Decimal(1)},
            late=[late_january(3000, Invoiced(1, 0))],
        ).invoice,
    ]
    keys = [line.charge_key for invoice in invoices if invoice for line in invoice.lines]
    assert len(keys) == len(set(keys))
    kinds = {line.kind for invoice in invoices if invoice for line in invoice.lines}
    assert kinds == {LineKind.RECURRING, LineKind.USAGE, LineKind.LATE_USAGE}


WHOLE_PERIODS = """
meters: [{key: seats, aggregation: max}]
plans:
  - key: pro
    currency: USD
    anchor: calendar
    proration: none
    minimum_spend: "250"
    prices:
      - {key: base, kind: recurring, amount: "31.00", bill: in_arrears}
      - {key: seats, kind: usage, meter: seats, model: per_unit, unit_price: "1"}
"""


def test_r17_without_proration_a_cut_inside_a_period_charges_nothing_twice(
    make_terms: Make,
) -> None:
    """14 of 31 days of 31.00 and of 100 seats at 1, then 17 of 31 of 62.00 and of 100 at 2."""
    terms = make_terms(catalog=WHOLE_PERIODS)
    text = WHOLE_PERIODS.replace('"31.00"', '"62.00"').replace('"1"', '"2"')
    changed = replace(make_terms(catalog=text).timeline.plan, version=2)
    timeline = terms.timeline
    phases = (timeline.phases[0], Phase(datetime(2026, 1, 15, tzinfo=UTC), changed))
    cut = replace(terms, timeline=Timeline(timeline.subscription, timeline.plan, phases=phases))
    period = cut.timeline.first_period()
    seats = {UsageKey("seats", segment): Decimal(100) for segment in (0, 1)}
    build = build_periodic(cut, period=period, quantities=seats)
    assert build.invoice is not None
    # 14.00 + 34.00, 45.16 + 109.68: 202.84, of 250 that are asked for once.
    assert [(line.price, line.amount.amount_minor) for line in build.invoice.lines] == [
        ("base", 1400),
        ("base", 3400),
        ("seats", 4516),
        ("seats", 10968),
        ("minimum_spend", 4716),
    ]
