"""Periods become invoices: once, at their time, with a number of their own."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from billing_server.domain.ports.customers import BillingPeriodState
from billing_server.domain.ports.invoices import InvoiceContent, InvoiceFilter
from billing_server.services import close_period as close_period_module
from billing_server.services.close_period import close_period
from billing_server.services.context import ServiceContext
from billing_server.services.list_invoices import list_invoices
from billing_server.services.pages import PageRequest
from billing_server.services.run_due_work import run_due_work
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.clock import ManualClock, parse_instant
from tests.billing_server.world import CATALOG, Usage, apply, make_context

FEBRUARY_START = parse_instant("2026-01-31T10:00:00Z")
FEBRUARY_END = parse_instant("2026-02-28T10:00:00Z")
GRACE = timedelta(hours=1)


def _subscribed(store: SqlStore) -> ServiceContext:
    context = make_context(store)
    apply(context, CATALOG)
    return context


def _move(context: ServiceContext, text: str) -> None:
    assert isinstance(context.clock, ManualClock)
    context.clock.advance_to(parse_instant(text))


def _invoices(context: ServiceContext) -> list[InvoiceContent]:
    page = list_invoices(context, page=PageRequest(), wanted=InvoiceFilter())
    return list(page.entries)


def test_a_period_is_closed_when_its_grace_has_passed_and_not_before(store: SqlStore) -> None:
    """R75."""
    context = _subscribed(store)
    _move(context, "2026-02-28T10:59:59Z")
    assert close_period(context, subscription_id="sub-1", period_start=FEBRUARY_START) is None
    _move(context, "2026-02-28T11:00:00Z")
    invoice = close_period(context, subscription_id="sub-1", period_start=FEBRUARY_START)
    assert invoice is not None
    assert invoice.issue_time == FEBRUARY_END + GRACE


def test_a_periodic_invoice_holds_the_usage_of_its_period_and_the_next_fee(
    store: SqlStore,
) -> None:
    """R63; the event at the very end is the next period's (R1)."""
    context = _subscribed(store)
    usage = Usage(context)
    usage.send("1500", at="2026-02-10T00:00:00Z")
    usage.send("9999", at="2026-02-28T10:00:00Z")
    _move(context, "2026-02-28T11:00:00Z")
    run_due_work(context)
    start, periodic = _invoices(context)
    assert (start["number"], start["reason"], start["total"]) == ("INV-000001", "start", "20.00")
    assert (periodic["number"], periodic["reason"]) == ("INV-000002", "periodic")
    # 20.00 for March, and (1,500 − 1,000) × 0.01 = 5.00.
    assert [(line["kind"], line["amount"]) for line in periodic["lines"]] == [
        ("recurring", "20.00"),
        ("usage", "5.00"),
    ]
    assert periodic["lines"][0]["service_period"]["start"] == "2026-02-28T10:00:00Z"
    assert periodic["total"] == "25.00"


def test_closing_late_or_twice_is_harmless(store: SqlStore) -> None:
    """R67."""
    context = _subscribed(store)
    _move(context, "2026-05-01T00:00:00Z")
    run_due_work(context)
    run_due_work(context)
    assert close_period(context, subscription_id="sub-1", period_start=FEBRUARY_START) is None
    # The start, and the periods that ended on 28 Feb, 31 Mar and 30 Apr.
    assert [invoice["number"] for invoice in _invoices(context)] == [
        f"INV-00000{number}" for number in (1, 2, 3, 4)
    ]


def test_a_roll_back_frees_the_number(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """R68: numbers are gap-free, because they are taken in the transaction that uses them."""
    context = _subscribed(store)
    _move(context, "2026-02-28T11:00:00Z")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the power went")

    monkeypatch.setattr(close_period_module, "_open_next", fail)
    with pytest.raises(RuntimeError, match="power"):
        close_period(context, subscription_id="sub-1", period_start=FEBRUARY_START)
    monkeypatch.undo()
    with store.read() as unit:
        period = unit.billing_periods.get("sub-1", start=FEBRUARY_START)
    assert period is not None
    assert period.state is BillingPeriodState.RUNNING
    invoice = close_period(context, subscription_id="sub-1", period_start=FEBRUARY_START)
    assert invoice is not None
    assert invoice.number == "INV-000002"


def test_late_usage_stands_on_the_next_invoice_as_the_difference(store: SqlStore) -> None:
    """R76: 800 in time cost nothing; with 700 more the period costs (1,500 − 1,000) × 0.01."""
    context = _subscribed(store)
    usage = Usage(context)
    usage.send("800", at="2026-02-10T00:00:00Z")
    _move(context, "2026-02-28T11:00:00Z")
    run_due_work(context)
    usage.send("700", at="2026-02-20T00:00:00Z")
    _move(context, "2026-03-31T11:00:00Z")
    run_due_work(context)
    _, february, march = _invoices(context)
    assert february["total"] == "20.00"
    (late,) = [line for line in march["lines"] if line["kind"] == "late_usage"]
    assert (late["quantity"], late["billable_quantity"], late["amount"]) == ("700", "500", "5.00")
    assert late["service_period"]["start"] == "2026-01-31T10:00:00Z"
    _move(context, "2026-04-30T11:00:00Z")
    run_due_work(context)
    assert {line["kind"] for line in _invoices(context)[-1]["lines"]} == {"recurring"}


def test_the_upcoming_invoice_is_the_invoice_that_is_issued(store: SqlStore) -> None:
    context = _subscribed(store)
    usage = Usage(context)
    for hour, tokens in enumerate(("123", "1456", "7890")):
        usage.send(tokens, at=f"2026-02-10T0{hour}:00:00Z")
    before = upcoming_invoice(context, customer_id="acme")
    _move(context, "2026-02-28T11:00:00Z")
    run_due_work(context)
    issued = _invoices(context)[-1]
    assert before["lines"] == issued["lines"]
    assert before["total"] == issued["total"]
    assert before["inputs_sha256"] == issued["inputs_sha256"]


def test_a_wrong_cache_is_repaired_and_never_invoiced(
    store: SqlStore, capsys: pytest.CaptureFixture[str]
) -> None:
    context = _subscribed(store)
    Usage(context).send("1500", at="2026-02-10T00:00:00Z")
    with store.write() as unit:
        unit.usage.delete_charges("sub-1", customer_id="acme")
    _move(context, "2026-02-28T11:00:00Z")
    run_due_work(context)
    assert _invoices(context)[-1]["total"] == "25.00"
    with store.read() as unit:
        (charge,) = unit.usage.running_charges(
            "sub-1", customer_id="acme", period_start=FEBRUARY_START
        )
    assert charge.quantity == 1500
    assert "running_charges_differ" in "".join(capsys.readouterr())


def test_the_customer_stands_on_the_invoice_as_it_was(store: SqlStore) -> None:
    """R74."""
    context = _subscribed(store)
    apply(context, CATALOG.replace("name: Acme,", "name: Renamed,"))
    assert _invoices(context)[0]["customer_details"]["name"] == "Acme"


def test_a_period_without_lines_issues_no_invoice_and_opens_the_next(store: SqlStore) -> None:
    """R69: no lines, no invoice. A total of zero is at once paid."""
    context = make_context(store)
    free = CATALOG.replace('amount: "20.00", bill: in_advance', 'amount: "0", bill: in_arrears')
    apply(context, free)
    _move(context, "2026-02-28T11:00:00Z")
    run_due_work(context)
    (zero,) = _invoices(context)
    assert (zero["total"], zero["state"]) == ("0.00", "paid")
    with store.read() as unit:
        (running,) = unit.billing_periods.running("sub-1")
    assert running.period.start == FEBRUARY_END


def test_two_servers_that_close_at_once_issue_one_invoice(store: SqlStore) -> None:
    """R67: whoever comes second waits for the customer, and finds nothing to do."""
    context = _subscribed(store)
    _move(context, "2026-02-28T11:00:00Z")
    together = threading.Barrier(4)

    def close() -> bool:
        together.wait(timeout=20)
        invoice = close_period(context, subscription_id="sub-1", period_start=FEBRUARY_START)
        return invoice is not None

    with ThreadPoolExecutor(4) as threads:
        issued = [future.result(30) for future in [threads.submit(close) for _ in range(4)]]
    assert sorted(issued) == [False, False, False, True]
    assert len(_invoices(context)) == 2
