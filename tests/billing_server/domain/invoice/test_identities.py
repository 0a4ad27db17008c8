"""What holds for every invoice, to the cent (R45)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from billing_server.domain.invoice.build import build_start
from billing_server.domain.invoice.identities import check_identities
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.invoice.model import Invoice
from metering.errors import InvariantError
from metering.money import Money

Make = Callable[..., BillingTerms]


@pytest.fixture
def invoice(make_terms: Make) -> Invoice:
    built = build_start(make_terms()).invoice
    assert built is not None
    return built


def test_r45_what_was_built_adds_up(invoice: Invoice) -> None:
    check_identities(invoice)


@pytest.mark.parametrize("field", ["subtotal", "tax_total", "total", "amount_due"])
def test_r45_a_sum_that_is_a_cent_off_is_a_defect(invoice: Invoice, field: str) -> None:
    wrong = getattr(invoice, field) + Money(1, "USD")
    with pytest.raises(InvariantError) as caught:
        check_identities(replace(invoice, **{field: wrong}))
    assert caught.value.reason == "INVOICE_UNBALANCED"


def test_r45_a_payment_lowers_what_is_due(invoice: Invoice) -> None:
    paid = Money(500, "USD")
    check_identities(replace(invoice, amount_paid=paid, amount_due=invoice.total - paid))


def test_r45_a_total_below_zero_is_a_defect(invoice: Invoice) -> None:
    below = Money(-1, "USD")
    discount = invoice.subtotal + Money(1, "USD")
    with pytest.raises(InvariantError) as caught:
        check_identities(replace(invoice, discount=discount, total=below, amount_due=below))
    assert caught.value.reason == "INVOICE_NEGATIVE"


def test_r67_an_amount_that_stands_twice_is_a_defect(invoice: Invoice) -> None:
    doubled = invoice.subtotal + invoice.subtotal
    with pytest.raises(InvariantError) as caught:
        check_identities(
            replace(
                invoice,
                lines=invoice.lines * 2,
                subtotal=doubled,
                total=doubled,
                amount_due=doubled,
            )
        )
    assert caught.value.reason == "CHARGE_KEY_REPEATED"
