"""Drafts: lines with their totals, and the details that are copied."""

from collections.abc import Callable
from datetime import UTC, datetime

from billing_server.domain.invoice.build import build_start
from billing_server.domain.invoice.draft import customer_details, make_draft
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.invoice.model import InvoiceReason, InvoiceState
from billing_server.domain.subscription.model import Customer
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
