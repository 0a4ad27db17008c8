"""Finalizing: number and times are given, and nothing else ever changes."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from billing_server.domain.invoice.build import build_start, build_upcoming
from billing_server.domain.invoice.finalize import finalize
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.invoice.model import Invoice, InvoiceState
from metering.errors import InvalidStateError
from metering.period import Period

Make = Callable[..., BillingTerms]
JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
USAGE_ONLY = """
meters: [{key: tokens, aggregation: sum}]
plans:
  - key: pro
    currency: USD
    prices: [{key: input, kind: usage, meter: tokens, model: per_unit, unit_price: "0.01"}]
"""


def final_of(draft: Invoice | None) -> Invoice:
    assert draft is not None
    return finalize(
        draft,
        invoice_id="inv_1",
        number="INV-000001",
        issue_time=datetime(2026, 2, 1, 1, tzinfo=UTC),
        due_time=datetime(2026, 2, 15, 1, tzinfo=UTC),
    )


def test_r66_finalizing_gives_number_and_times_and_changes_no_amount(make_terms: Make) -> None:
    draft = build_start(make_terms()).invoice
    final = final_of(draft)
    assert draft is not None
    assert (final.state, final.number, final.id) == (
        InvoiceState.FINALIZED,
        "INV-000001",
        "inv_1",
    )
    assert (final.lines, final.total, final.inputs_sha256) == (
        draft.lines,
        draft.total,
        draft.inputs_sha256,
    )
    with pytest.raises(InvalidStateError) as caught:
        final_of(final)
    assert caught.value.reason == "INVOICE_ALREADY_FINALIZED"


def test_r69_an_invoice_over_zero_is_paid_at_once(make_terms: Make) -> None:
    catalog = """
plans:
  - {key: pro, currency: USD, prices: [{key: base, kind: recurring, amount: "0"}]}
"""
    assert final_of(build_start(make_terms(catalog=catalog)).invoice).state is InvoiceState.PAID


def test_r69_a_draft_without_lines_cannot_be_finalized(make_terms: Make) -> None:
    upcoming = build_upcoming(make_terms(catalog=USAGE_ONLY), period=JANUARY, quantities={})
    with pytest.raises(InvalidStateError) as caught:
        final_of(upcoming)
    assert caught.value.reason == "INVOICE_EMPTY"
