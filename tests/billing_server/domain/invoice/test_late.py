"""Late usage beside a commitment or a minimum."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing_server.domain.invoice.build import build_late, build_periodic
from billing_server.domain.invoice.late import LatePeriod, NothingInvoiced, check_usage_keys
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.invoice.model import Invoice
from billing_server.domain.invoice.spend import earlier_line
from billing_server.domain.ports.invoices import InvoicedUsage
from billing_server.domain.rating.assignment import UsageKey
from metering.errors import InvariantError
from metering.period import Period

Make = Callable[..., BillingTerms]
JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
CALLS = UsageKey("calls")
CATALOG = """
meters: [{key: calls, aggregation: sum}]
plans:
  - key: pro
    currency: USD
    anchor: calendar
    minimum_spend: "50"
    prices: [{key: calls, kind: usage, meter: calls, model: per_unit, unit_price: "1"}]
"""


def late_january(terms: BillingTerms, *, invoiced: int, quantity: int) -> LatePeriod:
    first = build_periodic(
        terms, period=JANUARY, quantities={CALLS: Decimal(invoiced)}, earlier=()
    ).invoice
    assert first is not None
    (usage,) = [line for line in first.lines if line.price == "calls"]
    return LatePeriod(
        period=JANUARY,
        quantities={CALLS: Decimal(quantity)},
        invoiced={CALLS: InvoicedUsage(Decimal(invoiced), usage.amount.amount_minor, 0)},
        earlier=tuple(earlier_line(line) for line in first.lines),
    )


def shown(invoice: Invoice | None) -> list[tuple[str, str, str]]:
    assert invoice is not None
    return [(line.price, str(line.kind), line.amount.decimal_string()) for line in invoice.lines]


def test_r76_ten_dollars_late_under_a_fifty_dollar_minimum_cost_nothing(make_terms: Make) -> None:
    terms = make_terms(catalog=CATALOG)
    late = late_january(terms, invoiced=20, quantity=30)
    february = Period(JANUARY.end, datetime(2026, 3, 1, tzinfo=UTC))
    build = build_periodic(terms, period=february, quantities={}, late=[late], earlier=())
    assert shown(build.invoice) == [
        ("minimum_spend", "minimum", "50.00"),  # February's.
        ("calls", "late_usage", "10.00"),
        ("minimum_spend", "minimum", "-10.00"),
    ]
    assert build.held_back == ()


def test_r76_late_usage_above_the_minimum_costs_what_lies_above_it(make_terms: Make) -> None:
    terms = make_terms(catalog=CATALOG)
    late = late_january(terms, invoiced=20, quantity=80)
    build = build_late(terms, late=late, sequence=1)
    assert shown(build.invoice) == [
        ("calls", "late_usage", "60.00"),
        ("minimum_spend", "minimum", "-30.00"),
    ]


def test_usage_that_went_away_under_a_minimum_costs_what_it_cost(make_terms: Make) -> None:
    """Voided usage of 5.00 under a minimum: the true-up rises by as much."""
    terms = make_terms(catalog=CATALOG)
    build = build_late(terms, late=late_january(terms, invoiced=20, quantity=15), sequence=1)
    assert shown(build.invoice) == [
        ("calls", "late_usage", "-5.00"),
        ("minimum_spend", "minimum", "5.00"),
    ]


def test_a_period_that_comes_out_below_what_was_invoiced_is_held_back_whole(
    make_terms: Make,
) -> None:
    terms = make_terms(catalog=CATALOG)
    build = build_late(terms, late=late_january(terms, invoiced=80, quantity=20), sequence=1)
    assert build.invoice is None
    assert [(line.price, line.amount.amount_minor) for line in build.held_back] == [
        ("calls", -6000),
        ("minimum_spend", 3000),
    ]


def test_usage_without_a_price_is_a_defect(make_terms: Make) -> None:
    terms = make_terms(catalog=CATALOG)
    with pytest.raises(InvariantError) as caught:
        check_usage_keys(terms, period=JANUARY, quantities={UsageKey("calls", 1): Decimal(1)})
    assert caught.value.reason == "USAGE_WITHOUT_PRICE"
    assert NothingInvoiced().late_sequence == 0


def test_r76_late_usage_and_what_it_gives_back_keep_the_rate_of_their_invoice(
    make_terms: Make,
) -> None:
    rate = 'tax_rates: [{key: vat, name: VAT, rate: "%s", country: DE}]'
    late = late_january(make_terms(catalog=CATALOG + rate % "0.16"), invoiced=20, quantity=80)
    edited = make_terms(catalog=CATALOG + rate % "0.19")
    invoice = build_late(edited, late=late, sequence=1).invoice
    assert invoice is not None
    assert [line.tax.rates[0].rate for line in invoice.lines] == [Decimal("0.16")] * 2
    # 60.00 of usage less 30.00 of the minimum.
    (tax,) = invoice.tax
    assert (tax.base.amount_minor, tax.amount.amount_minor) == (3000, 480)


def test_r76_a_discount_that_first_falls_due_with_late_usage_has_the_rate_of_its_invoice(
    make_terms: Make,
) -> None:
    catalog = CATALOG.replace(
        'minimum_spend: "50"', 'commitment: {amount: "20", overage_discount: "1"}'
    )
    rate = 'tax_rates: [{key: vat, name: VAT, rate: "%s", country: DE}]'
    late = late_january(make_terms(catalog=catalog + rate % "0.16"), invoiced=20, quantity=80)
    invoice = build_late(make_terms(catalog=catalog + rate % "0.19"), late=late, sequence=1).invoice
    assert shown(invoice) == [
        ("calls", "late_usage", "60.00"),
        ("commitment", "adjustment", "-60.00"),
    ]
    assert invoice is not None
    # At 19 % the discount would leave a tax of −1.80, and an invoice below zero.
    assert [line.tax.rates[0].rate for line in invoice.lines] == [Decimal("0.16")] * 2
    assert (invoice.tax_total.amount_minor, invoice.total.amount_minor) == (0, 0)


def test_r76_late_usage_of_an_invoice_without_tax_has_none_though_there_is_a_rate_now(
    make_terms: Make,
) -> None:
    late = late_january(make_terms(catalog=CATALOG), invoiced=80, quantity=90)
    rate = 'tax_rates: [{key: vat, name: VAT, rate: "0.19", country: DE}]'
    invoice = build_late(make_terms(catalog=CATALOG + rate), late=late, sequence=1).invoice
    assert invoice is not None
    assert (invoice.tax, invoice.total.amount_minor) == ((), 1000)


def test_late_usage_of_a_price_that_no_invoice_carries_is_taxed_by_the_catalog(
    make_terms: Make,
) -> None:
    rate = 'tax_rates: [{key: vat, name: VAT, rate: "0.19", country: DE}]'
    late = late_january(make_terms(catalog=CATALOG), invoiced=80, quantity=90)
    plain = LatePeriod(period=JANUARY, quantities=late.quantities, invoiced={})
    invoice = build_late(make_terms(catalog=CATALOG + rate), late=plain, sequence=1).invoice
    assert invoice is not None
    assert invoice.tax_total.amount_minor == 1710
