"""Invoiced periods with late usage are found, and forgotten once it is invoiced."""

from billing_server.domain.ports.invoices import InvoiceFilter
from billing_server.domain.rating.assignment import UsageKey
from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.late_usage import clear_late_periods, find_late_periods
from billing_server.services.list_invoices import list_invoices
from billing_server.services.move_clock import advance_clock
from billing_server.services.pages import PageRequest
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.world import CATALOG, TAXED, Usage, apply, make_context


def test_late_usage_is_found_with_what_was_invoiced_and_cleared(store: SqlStore) -> None:
    """R76."""
    context = make_context(store)
    apply(context, CATALOG)
    usage = Usage(context)
    usage.send("1500", at="2026-02-10T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-03-01T00:00:00Z"))
    usage.send("300", at="2026-02-11T00:00:00Z")
    with store.write() as unit:
        terms = load_customer_terms(unit, customer_id="acme")
        (late,) = find_late_periods(unit, terms=terms, subscription_id="sub-1")
        assert late.period.start == parse_instant("2026-01-31T10:00:00Z")
        assert late.quantities == {UsageKey("tokens"): 1800}
        invoiced = late.invoiced[UsageKey("tokens")]
        assert (invoiced.quantity, invoiced.amount_minor, invoiced.late_sequence) == (1500, 500, 0)
        clear_late_periods(unit, subscription_id="sub-1", late=[late], held_back=[], number=None)
        assert find_late_periods(unit, terms=terms, subscription_id="sub-1") == ()


def test_r76_late_usage_arrives_a_second_and_a_third_time_for_a_period_invoiced_without_usage(
    store: SqlStore,
) -> None:
    """R76, R67: each late line has a charge key of its own, whatever the first invoice held."""
    context = make_context(store)
    apply(context, CATALOG)
    usage = Usage(context)
    # Three times 1,500 in a period that was invoiced without usage: the first pays 500 × 0.01,
    # the others 1,500 × 0.01 each.
    advance_clock(context, to=parse_instant("2026-02-28T11:00:00Z"))
    for late_at, closed_at in (
        ("2026-02-10T00:00:00Z", "2026-03-31T11:00:00Z"),
        ("2026-02-11T00:00:00Z", "2026-04-30T11:00:00Z"),
        ("2026-02-12T00:00:00Z", "2026-05-31T11:00:00Z"),
    ):
        usage.send("1500", at=late_at)
        advance_clock(context, to=parse_instant(closed_at))
    found = list_invoices(context, page=PageRequest(), wanted=InvoiceFilter()).entries
    late = [
        (invoice["number"], line["quantity"], line["amount"])
        for invoice in found
        for line in invoice["lines"]
        if line["kind"] == "late_usage"
    ]
    assert late == [
        ("INV-000003", "1500", "5.00"),
        ("INV-000004", "1500", "15.00"),
        ("INV-000005", "1500", "15.00"),
    ]


def test_r74_r76_another_rate_changes_no_issued_invoice_nor_what_comes_late_for_it(
    store: SqlStore,
) -> None:
    """R37, R74, R76."""
    context = make_context(store)
    apply(context, TAXED)
    usage = Usage(context)
    usage.send("1500", at="2026-02-10T00:00:00Z")
    advance_clock(context, to=parse_instant("2026-02-28T11:00:00Z"))
    before = list_invoices(context, page=PageRequest(), wanted=InvoiceFilter()).entries
    # 20.00 and 5.00 at 19 %.
    assert [each["total"] for each in before] == ["23.80", "29.75"]
    assert apply(context, TAXED.replace('"0.19"', '"0.25"')) == ["update tax rate de-vat"]
    usage.send("300", at="2026-02-11T00:00:00Z")
    draft = upcoming_invoice(context, customer_id="acme")
    advance_clock(context, to=parse_instant("2026-03-31T11:00:00Z"))
    found = list_invoices(context, page=PageRequest(), wanted=InvoiceFilter()).entries
    assert found[:2] == before
    # The next fee at 25 %, and 300 × 0.01 of February at the 19 % of its invoice.
    rates = [(each["rate"], each["base"], each["amount"]) for each in found[2]["tax"]]
    assert rates == [("0.19", "3.00", "0.57"), ("0.25", "20.00", "5.00")]
    assert (found[2]["tax_total"], found[2]["total"]) == ("5.57", "28.57")
    assert (draft["tax"], draft["total"]) == (found[2]["tax"], "28.57")
    assert draft["inputs_sha256"] == found[2]["inputs_sha256"]
