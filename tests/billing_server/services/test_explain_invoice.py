"""Explaining invoices: arithmetic, terms, and exactly the events that a line counted."""

from typing import Any

import pytest

from billing_server.services import line_usage
from billing_server.services.context import ServiceContext
from billing_server.services.correct_usage import (
    AdjustmentRequest,
    adjust_usage,
    amend_usage,
    void_usage,
)
from billing_server.services.explain_invoice import (
    DocumentRef,
    explain_invoice,
    list_line_events,
)
from billing_server.services.move_clock import advance_clock
from billing_server.services.pages import Page, PageRequest
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from metering.errors import InvalidStateError, NotFoundError, ValidationError
from tests.billing_server.world import CATALOG, TAXED, Usage, apply, make_context

PERIOD_END = "2026-02-28T10:00:00Z"
AFTER_GRACE = "2026-02-28T12:00:00Z"
PERIODIC = DocumentRef(number_or_id="INV-000002")
UPCOMING = DocumentRef(customer_id="acme")
USAGE_LINE = 1


@pytest.fixture
def context(store: SqlStore) -> ServiceContext:
    context = make_context(store)
    apply(context, CATALOG.replace('unit_price: "0.01"', 'unit_price: "0.01", unit_cost: "0.002"'))
    return context


@pytest.fixture
def usage(context: ServiceContext) -> Usage:
    usage = Usage(context)
    usage.send("700", at="2026-02-01T10:00:10Z", event_id="first")
    usage.send("500", at="2026-02-01T10:00:20Z", event_id="second")
    usage.send("9", at="2026-02-01T10:00:30Z", event_id="small", dimensions={"model": "small"})
    usage.send(
        "300",
        at="2026-02-27T00:00:00Z",
        event_id="third",
        dimensions={"model": "large", "region": "eu"},
    )
    usage.send("1", at="2026-02-02T00:00:00Z", event_id="waits", meter="images")
    # On the border: the next period's (R1).
    usage.send("44", at=PERIOD_END, event_id="next")
    return usage


def ids(page: Page[dict[str, Any]]) -> list[str]:
    return [event["event_id"] for event in page.entries]


def test_a_line_is_told_with_its_arithmetic_its_price_and_what_was_used(
    context: ServiceContext, usage: Usage
) -> None:
    advance_clock(context, to=parse_instant(AFTER_GRACE))
    explained = explain_invoice(context, document=PERIODIC)
    assert [line["kind"] for line in explained["lines"]] == ["recurring", "usage"]
    line = explained["lines"][USAGE_LINE]
    assert line["calculation"] == [
        "used: 1,500 token",
        "included: 1,000, which leaves 500 to charge",
        "500 × 0.01 = 5",
        "amount: 5.00 USD, exact",
    ]
    assert (line["terms"]["plan"], line["terms"]["plan_version"]) == ("pro", 1)
    assert line["terms"]["price"]["unit_price"] == "0.01"
    assert line["terms"]["meter"]["key"] == "tokens"
    assert line["usage"] == {
        "quantity": "1500",
        "note": None,
        "event_count": 3,
        "by_dimensions": [
            {"dimensions": {"model": "large"}, "quantity": "1200", "event_count": 2},
            {"dimensions": {"model": "large", "region": "eu"}, "quantity": "300", "event_count": 1},
        ],
        "not_listed_count": 0,
    }
    fee = explained["lines"][0]
    assert (fee["usage"], fee["calculation"]) == (None, ["amount: 20.00 USD, exact"])
    # 1,500 tokens at 0.002 were bought for 3.00 and sold for 5.00.
    assert explained["margin"]["cost"] == "3.00"
    assert explained["margin"]["margin_rate"] == "0.4"


def test_the_events_of_a_line_are_exactly_those_that_it_counted(
    context: ServiceContext, usage: Usage
) -> None:
    advance_clock(context, to=parse_instant(AFTER_GRACE))
    page = list_line_events(context, document=PERIODIC, line_index=USAGE_LINE, page=PageRequest())
    assert ids(page) == ["first", "second", "third"]
    assert page.next_cursor is None
    assert page.entries[2] == {
        "event_id": "third",
        "event_time": "2026-02-27T00:00:00Z",
        "receive_time": "2026-02-27T00:00:00Z",
        "quantity": "300",
        "state": "counted",
        "reason": None,
        "quantities": {"tokens": "300"},
        "dimensions": {"model": "large", "region": "eu"},
    }


def test_events_come_in_pages_also_where_a_minute_holds_more_than_one(
    context: ServiceContext, usage: Usage
) -> None:
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        page = list_line_events(
            context,
            document=UPCOMING,
            line_index=USAGE_LINE,
            page=PageRequest(cursor=cursor, limit=1),
        )
        seen += ids(page)
        cursor = page.next_cursor
    assert (seen, cursor) == (["first", "second", "third"], None)


def test_a_page_ends_where_too_many_other_events_were_looked_at(
    context: ServiceContext, usage: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_usage, "EVENTS_SCANNED_MAX", 3)
    monkeypatch.setattr(line_usage, "MINUTES_READ", 1)
    wanted = {"document": UPCOMING, "line_index": USAGE_LINE}
    first = list_line_events(context, page=PageRequest(), **wanted)
    assert ids(first) == ["first", "second"]
    second = list_line_events(context, page=PageRequest(cursor=first.next_cursor), **wanted)
    assert (ids(second), second.next_cursor) == (["third"], None)


def test_corrected_events_and_adjustments_are_shown_as_such_r16(
    context: ServiceContext, usage: Usage
) -> None:
    void_usage(context, event_id="third", reason="a test of ours")
    amend_usage(context, event_id="second", quantities={"tokens": "50"}, reason="typo")
    advance_clock(context, to=parse_instant("2026-02-05T00:00:00Z"))
    adjust_usage(
        context,
        request=AdjustmentRequest(
            customer_id="acme",
            meter_key="tokens",
            quantity="-20",
            reason="goodwill",
            event_time=parse_instant("2026-02-05T00:00:00Z"),
            dimensions={"model": "large"},
        ),
    )
    page = list_line_events(
        context, document=UPCOMING, line_index=USAGE_LINE, page=PageRequest()
    ).entries
    told = [(each["quantity"], each["state"], each["reason"]) for each in page]
    # The minute of the voided event holds nothing else, and it is shown all the same.
    assert told == [
        ("700", "counted", None),
        ("50", "amended", "typo"),
        ("-20", "adjustment", "goodwill"),
        ("0", "voided", "a test of ours"),
    ]
    assert page[1]["quantities"] == {"tokens": "500"}
    (line,) = explain_invoice(context, document=UPCOMING, line_index=USAGE_LINE)["lines"]
    assert (line["quantity"], line["usage"]["note"]) == ("730", None)


def test_late_usage_is_told_on_both_lines(context: ServiceContext, usage: Usage) -> None:
    advance_clock(context, to=parse_instant(AFTER_GRACE))
    usage.send("100", at="2026-02-20T00:00:00Z", event_id="late")
    (line,) = explain_invoice(context, document=PERIODIC, line_index=USAGE_LINE)["lines"]
    assert line["usage"]["note"] == (
        "1600 is counted for this period by now: what came after the invoice was issued stands on "
        "a later line of kind late_usage"
    )
    advance_clock(context, to=parse_instant("2026-03-31T12:00:00Z"))
    late = explain_invoice(context, document=DocumentRef(number_or_id="INV-000003"))["lines"][-1]
    assert (late["kind"], late["amount"], late["usage"]["quantity"]) == (
        "late_usage",
        "1.00",
        "1600",
    )
    assert "whole period" in late["usage"]["note"]


def test_a_line_without_a_price_of_the_catalog_is_told_without_terms(
    context: ServiceContext, usage: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from billing_server.services import explain_invoice as module

    monkeypatch.setattr(module, "find_line_terms", lambda *_, **__: None)
    explained = explain_invoice(context, document=UPCOMING)
    assert [line["terms"] for line in explained["lines"]] == [None, None]
    assert explained["margin"] is None


def test_more_sets_of_dimensions_than_a_line_lists_are_counted(
    context: ServiceContext, usage: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from billing_server.services import explain_invoice as module

    monkeypatch.setattr(module, "SERIES_MAX", 1)
    (line,) = explain_invoice(context, document=UPCOMING, line_index=USAGE_LINE)["lines"]
    assert len(line["usage"]["by_dimensions"]) == 1
    assert line["usage"]["not_listed_count"] == 1


def test_a_customer_without_a_subscription_has_nothing_to_explain(memory_store: SqlStore) -> None:
    context = make_context(memory_store)
    apply(context, "customers: [{id: beta}]")
    explained = explain_invoice(context, document=DocumentRef(customer_id="beta"))
    assert (explained["lines"], explained["total"], explained["margin"]) == ([], "0.00", None)
    with pytest.raises(NotFoundError, match="it has no lines"):
        explain_invoice(context, document=DocumentRef(customer_id="beta"), line_index=0)


def test_what_cannot_be_explained_is_refused_with_the_reason(
    context: ServiceContext, usage: Usage
) -> None:
    with pytest.raises(NotFoundError, match="its lines are 0 to 1"):
        explain_invoice(context, document=UPCOMING, line_index=2)
    with pytest.raises(InvalidStateError) as fee:
        list_line_events(context, document=UPCOMING, line_index=0, page=PageRequest())
    assert fee.value.reason == "LINE_WITHOUT_EVENTS"
    with pytest.raises(ValidationError) as cursor:
        list_line_events(
            context, document=UPCOMING, line_index=USAGE_LINE, page=PageRequest(cursor="e30")
        )
    assert cursor.value.reason == "CURSOR_MALFORMED"
    with pytest.raises(NotFoundError) as unknown:
        explain_invoice(context, document=DocumentRef(number_or_id="INV-9"))
    assert unknown.value.reason == "INVOICE_NOT_FOUND"


LEVELS = """
meters: [{key: storage, unit: GB, aggregation: time_weighted}]
plans:
  - key: disks
    currency: USD
    anchor: calendar
    prices: [{key: storage, kind: usage, meter: storage, model: per_unit, unit_price: "1"}]
customers: [{id: acme}]
subscriptions: [{id: sub-1, customer: acme, plan: disks, start: 2026-04-16T00:00:00Z}]
"""


def test_r19_a_level_is_told_as_of_now_and_weighted_by_the_whole_period(
    memory_store: SqlStore,
) -> None:
    context = make_context(memory_store, start="2026-04-16T00:00:00Z")
    apply(context, LEVELS)
    Usage(context).send("30", at="2026-04-16T00:00:00Z", meter="storage")
    advance_clock(context, to=parse_instant("2026-04-22T00:00:00Z"))
    (upcoming,) = explain_invoice(context, document=UPCOMING)["lines"]
    # 30 GB for 6 of 30 days, and for 15 of 30 at the end of the short period.
    assert (upcoming["quantity"], upcoming["usage"]["quantity"]) == ("6", "6")
    assert upcoming["terms"]["share"] == {"numerator": 1, "denominator": 2}
    assert upcoming["usage"]["note"] is None
    advance_clock(context, to=parse_instant("2026-05-01T02:00:00Z"))
    (issued,) = explain_invoice(context, document=DocumentRef(number_or_id="INV-000001"))["lines"]
    assert (issued["quantity"], issued["usage"]["quantity"]) == ("15", "15")
    assert issued["usage"]["note"] is None
    # Nothing was set in May: the level goes on.
    (running,) = explain_invoice(context, document=UPCOMING)["lines"]
    assert (running["usage"]["event_count"], running["usage"]["note"]) == (
        0,
        "no event lies in the period: the level was set before it",
    )


def test_a_fee_of_a_longer_period_than_the_plans_is_told_with_its_own_share(
    memory_store: SqlStore,
) -> None:
    context = make_context(memory_store, start="2026-04-16T00:00:00Z")
    yearly = '{key: year, kind: recurring, amount: "365", billing_period: year, bill: in_advance}'
    apply(context, LEVELS.replace("prices: [", f"prices: [{yearly}, "))
    advance_clock(context, to=parse_instant("2026-05-01T02:00:00Z"))
    (fee,) = explain_invoice(context, document=DocumentRef(number_or_id="INV-000001"))["lines"]
    # 16 April to 31 December are 260 of 365 days.
    assert fee["amount"] == "260.00"
    assert fee["terms"]["share"] == {"numerator": 52, "denominator": 73}


def test_tax_is_explained_with_its_base(memory_store: SqlStore) -> None:
    context = make_context(memory_store)
    apply(context, TAXED)
    found = explain_invoice(context, document=DocumentRef(number_or_id="INV-000001"))
    assert [(each["base"], each["amount"]) for each in found["tax"]] == [("20.00", "3.80")]
    assert (found["tax_total"], found["total"]) == ("3.80", "23.80")
