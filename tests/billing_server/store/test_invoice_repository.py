"""Issued invoices on both databases."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import update

from billing_server.domain.invoice.draft import taxable
from billing_server.domain.invoice.finalize import finalize
from billing_server.domain.invoice.lines import charge_key
from billing_server.domain.invoice.model import (
    Invoice,
    InvoiceLine,
    InvoiceReason,
    LineKind,
)
from billing_server.domain.invoice.serialize import invoice_to_dict
from billing_server.domain.ports.invoices import InvoicedUsage, InvoiceFilter
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.tax.rate import NOT_TAXED, AppliedRate, LineTax
from billing_server.domain.tax.taxing import tax_of
from billing_server.store.tables import invoice as invoice_table
from billing_server.store.tables import number_series
from billing_server.store.unit_of_work import SqlStore, SqlUnitOfWork
from metering.clock import parse_instant
from metering.errors import ConflictError
from metering.money import Money
from metering.period import Period
from tests.billing_server.store.catalog_rows import NOW, subscription, write_rows

PERIOD = Period(parse_instant("2026-01-31T10:00:00Z"), parse_instant("2026-02-28T10:00:00Z"))
ZERO = Money.zero("USD")
SUBSCRIPTION = subscription("sub-1", start="2026-01-31T10:00:00Z")


def _line(*, kind: LineKind, sequence: int, quantity: str, cents: int) -> InvoiceLine:
    return InvoiceLine(
        id=f"line-{sequence}",
        charge_key=charge_key(
            subscription="sub-1",
            price="tokens",
            period=PERIOD,
            segment=0,
            kind=kind,
            sequence=sequence,
        ),
        subscription="sub-1",
        price="tokens",
        price_version=1,
        sequence=sequence,
        kind=kind,
        description="Tokens",
        service_period=PERIOD,
        quantity=Decimal(quantity),
        billable_quantity=Decimal(quantity),
        amount=Money(cents, "USD"),
        amount_exact=Decimal(cents) / 100,
        discount_share=ZERO,
    )


def _invoice(number: int, *, line: InvoiceLine, cause: str = "first") -> Invoice:
    draft = Invoice(
        id="",
        reason=InvoiceReason.PERIODIC,
        cause=cause,
        customer_id="acme",
        subscription_id="sub-1",
        currency="USD",
        period=PERIOD,
        inputs_sha256="0" * 64,
        lines=(line,),
        subtotal=line.amount,
        discount=ZERO,
        tax_total=ZERO,
        total=line.amount,
        credit_notes_applied=ZERO,
        credits_applied=ZERO,
        amount_paid=ZERO,
        amount_due=line.amount,
    )
    return finalize(
        draft,
        invoice_id=f"inv_{number}",
        number=f"INV-{number:06d}",
        issue_time=NOW,
        due_time=NOW,
    )


def _add(unit: SqlUnitOfWork, invoice: Invoice) -> None:
    unit.invoices.add(invoice, content=invoice_to_dict(invoice), create_time=NOW)


USAGE = _line(kind=LineKind.USAGE, sequence=0, quantity="1500.25", cents=500)
LATE = _line(kind=LineKind.LATE_USAGE, sequence=1, quantity="0.75", cents=1)


def test_an_invoice_is_read_back_as_the_json_that_was_written(store: SqlStore) -> None:
    invoice = _invoice(1, line=USAGE)
    with store.write() as unit:
        write_rows(unit, SUBSCRIPTION)
        assert not unit.invoices.has_any("acme")
        _add(unit, invoice)
    with store.read() as unit:
        kept = unit.invoices.get("inv_1")
        # Byte for byte: the order of the fields is part of the document.
        assert json.dumps(kept) == json.dumps(invoice_to_dict(invoice))
        assert unit.invoices.by_number("INV-000001") == invoice_to_dict(invoice)
        assert unit.invoices.get("inv_2") is None
        assert unit.invoices.has_any("acme")
        key = {"customer_id": "acme", "subscription_id": "sub-1", "reason": "periodic"}
        assert unit.invoices.exists(**key, cause="first")
        assert not unit.invoices.exists(**key, cause="second")


def test_numbers_are_gap_free_also_after_a_roll_back(store: SqlStore) -> None:
    """R68."""
    with store.write() as unit:
        assert unit.invoices.take_number() == "INV-000001"
    with pytest.raises(RuntimeError), store.write() as unit:  # noqa: PT012 - undone whole
        assert unit.invoices.take_number() == "INV-000002"
        raise RuntimeError("undone")
    with store.write() as unit:
        assert unit.invoices.take_number() == "INV-000002"


@pytest.mark.parametrize(
    "second",
    [
        _invoice(2, line=LATE),
        _invoice(2, line=USAGE, cause="second"),
        replace(_invoice(1, line=LATE, cause="second"), id="inv_2"),
    ],
    ids=["same cause", "same charge", "same number"],
)
def test_what_is_invoiced_is_invoiced_once(store: SqlStore, second: Invoice) -> None:
    """R67: the database itself refuses the same cause, charge or number."""
    with store.write() as unit:
        write_rows(unit, SUBSCRIPTION)
        _add(unit, _invoice(1, line=USAGE))
    with pytest.raises(ConflictError) as refused, store.write() as unit:
        _add(unit, second)
    assert refused.value.reason == "INVOICE_EXISTS"


def test_a_void_invoice_frees_its_cause(store: SqlStore) -> None:
    """R67: the key is over invoices that are not void."""
    with store.write() as unit:
        write_rows(unit, SUBSCRIPTION)
        _add(unit, _invoice(1, line=USAGE))
        unit.connection.execute(update(invoice_table).values(state="void"))
        _add(unit, _invoice(2, line=LATE))


def test_invoiced_usage_adds_up_over_all_documents(store: SqlStore) -> None:
    with store.write() as unit:
        write_rows(unit, SUBSCRIPTION)
        _add(unit, _invoice(1, line=USAGE))
        _add(unit, _invoice(2, line=LATE, cause="second"))
        found = unit.invoices.invoiced_usage(subscription_id="sub-1", period=PERIOD)
        following = Period(PERIOD.end, PERIOD.end + (PERIOD.end - PERIOD.start))
        none = unit.invoices.invoiced_usage(subscription_id="sub-1", period=following)
    assert found == {UsageKey("tokens"): InvoicedUsage(Decimal(1501), 501, 1)}
    assert none == {}


def test_pages_follow_the_numbers_past_a_million(store: SqlStore) -> None:
    with store.write() as unit:
        write_rows(unit, SUBSCRIPTION)
        unit.connection.execute(update(number_series).values(next_number=999_999))
        for line, cause in ((USAGE, "first"), (LATE, "second")):
            number = int(unit.invoices.take_number().removeprefix("INV-"))
            _add(unit, _invoice(number, line=line, cause=cause))
        first = unit.invoices.page(InvoiceFilter(), after=None, limit=1)
        rest = unit.invoices.page(InvoiceFilter(), after="INV-999999", limit=9)
    assert [content["number"] for content in (*first, *rest)] == ["INV-999999", "INV-1000000"]


def test_the_tax_of_earlier_lines_is_that_of_their_invoice(store: SqlStore) -> None:
    """R76: late usage keeps it."""
    tax = LineTax((AppliedRate(key="vat", name="VAT", rate=Decimal("0.19")),))
    with store.write() as unit:
        write_rows(unit, SUBSCRIPTION)
        line = replace(USAGE, tax=tax)
        added = tax_of([taxable(line)], currency="USD")
        invoice = _invoice(1, line=line)
        total = invoice.subtotal + added.added
        _add(
            unit,
            replace(
                invoice, tax=added.amounts, tax_total=added.added, total=total, amount_due=total
            ),
        )
        _add(unit, _invoice(2, line=LATE, cause="second"))
    with store.read() as unit:
        lines = unit.invoices.lines_in(subscription_id="sub-1", period=PERIOD)
        assert {line.kind: line.tax for line in lines} == {
            LineKind.USAGE: tax,
            LineKind.LATE_USAGE: NOT_TAXED,
        }
