"""Drafts: lines with their totals, and the details that are copied."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from billing_server.domain.invoice.build import build_start
from billing_server.domain.invoice.draft import customer_details, make_draft
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.invoice.model import InvoiceReason, InvoiceState
from billing_server.domain.subscription.model import Customer
from billing_server.domain.tax.rate import TaxExemption
from metering.money import Money
from metering.period import Period

Make = Callable[..., BillingTerms]
JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


def test_a_draft_is_the_sum_of_its_lines(make_terms: Make) -> None:
    terms = make_terms()
    start = build_start(terms).invoice
    assert start is not None
    draft = make_draft(
        terms, reason=InvoiceReason.START, cause="sub-1", period=JANUARY, lines=start.lines
    )
    assert draft == start
    assert (draft.state, draft.total, draft.amount_due) == (
        InvoiceState.DRAFT,
        Money(2000, "USD"),
        Money(2000, "USD"),
    )


def test_details_that_are_not_known_are_left_out() -> None:
    assert customer_details(Customer(id="acme")) == {"name": "acme", "timezone": "UTC"}


def test_r74_the_details_of_seller_and_customer_are_copied(make_terms: Make) -> None:
    invoice = build_start(make_terms()).invoice
    assert invoice is not None
    assert invoice.seller == {"name": "Seller Inc."}
    assert invoice.customer_details == {"name": "Acme", "timezone": "UTC", "country": "DE"}


FOUR = """
plans:
  - key: pro
    currency: EUR
    anchor: calendar
    prices:
      - {key: a, kind: recurring, amount: "68.33"}
      - {key: b, kind: recurring, amount: "68.33"}
      - {key: c, kind: recurring, amount: "57.50"}
      - {key: d, kind: recurring, amount: "85.00"}
tax_rates: [{key: vat, name: VAT, rate: "0.20", country: DE}]
"""


def test_r43_an_invoice_rounds_the_tax_of_its_lines_once(make_terms: Make) -> None:
    invoice = build_start(make_terms(catalog=FOUR)).invoice
    assert invoice is not None
    assert (invoice.subtotal, invoice.tax_total, invoice.total, invoice.amount_due) == (
        Money(27916, "EUR"),
        Money(5583, "EUR"),
        Money(33499, "EUR"),
        Money(33499, "EUR"),
    )
    assert [line.amount.amount_minor for line in invoice.lines] == [6833, 6833, 5750, 8500]


def test_r43_tax_inside_the_prices_leaves_the_total_as_it_is(make_terms: Make) -> None:
    inside = FOUR.replace('"}', '", tax_behavior: inclusive}').replace(
        "country: DE, tax_behavior: inclusive", "country: DE"
    )
    invoice = build_start(make_terms(catalog=inside)).invoice
    assert invoice is not None
    # 279.16 − 279.16 / 1.2 = 46.5266…
    (tax,) = invoice.tax
    assert (tax.base, tax.amount) == (Money(23263, "EUR"), Money(4653, "EUR"))
    assert (invoice.tax_total, invoice.total) == (Money(0, "EUR"), Money(27916, "EUR"))


def test_r99_a_customer_that_owes_the_tax_itself_pays_none_and_the_invoice_says_so(
    make_terms: Make,
) -> None:
    terms = make_terms(catalog=FOUR)
    customer = replace(terms.customer, tax_exempt=TaxExemption.REVERSE_CHARGE, tax_id="DE1")
    invoice = build_start(replace(terms, customer=customer)).invoice
    assert invoice is not None
    assert (invoice.tax, invoice.total) == ((), Money(27916, "EUR"))
    assert invoice.customer_details["tax_exempt"] == "reverse_charge"
