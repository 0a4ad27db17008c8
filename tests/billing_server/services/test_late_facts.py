"""What came after a period was invoiced is noted when it is counted, whatever the clock says."""

from dataclasses import replace

import pytest

from billing_server.domain.ports.late_facts import LateFactKind
from billing_server.services.context import ServiceContext
from billing_server.services.correct_usage import AdjustmentRequest, adjust_usage, void_usage
from billing_server.services.explain_invoice import (
    DocumentRef,
    explain_invoice,
    list_line_events,
)
from billing_server.services.late_facts import late_corrections
from billing_server.services.move_clock import advance_clock
from billing_server.services.pages import PageRequest
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.world import CATALOG, Usage, apply, make_context

FEBRUARY = DocumentRef(number_or_id="INV-000002")
MARCH = DocumentRef(number_or_id="INV-000003")
APRIL = DocumentRef(number_or_id="INV-000004")


@pytest.fixture
def usage(store: SqlStore) -> Usage:
    """Two events in time, then the period is invoiced."""
    context = make_context(store)
    apply(context, CATALOG)
    usage = Usage(context)
    usage.send("1500", at="2026-02-10T00:00:00Z", event_id="in-time")
    usage.send("100", at="2026-02-12T00:00:00Z", event_id="voided-late")
    advance_clock(context, to=parse_instant("2026-02-28T11:00:00Z"))
    return usage


def events(context: ServiceContext, document: DocumentRef, *, kind: str) -> list[tuple[str, str]]:
    lines = explain_invoice(context, document=document)["lines"]
    (index,) = [line["line"] for line in lines if line["kind"] == kind]
    found: list[tuple[str, str]] = []
    page = PageRequest(limit=1)
    while True:
        shown = list_line_events(context, document=document, line_index=index, page=page)
        found += [(each["event_id"], each["state"]) for each in shown.entries]
        if shown.next_cursor is None:
            return found
        page = replace(page, cursor=shown.next_cursor)


def test_a_late_line_lists_just_what_came_late_and_the_first_line_the_rest(usage: Usage) -> None:
    context = usage.context
    usage.send("300", at="2026-02-11T00:00:00Z", event_id="late-b")
    usage.send("200", at="2026-02-10T00:00:00Z", event_id="late-a")
    upcoming = DocumentRef(customer_id="acme")
    assert events(context, upcoming, kind="late_usage") == [
        ("late-a", "counted"),
        ("late-b", "counted"),
    ]
    advance_clock(context, to=parse_instant("2026-03-31T11:00:00Z"))
    usage.send("400", at="2026-02-09T00:00:00Z", event_id="later")
    assert events(context, MARCH, kind="late_usage") == [
        ("late-a", "counted"),
        ("late-b", "counted"),
    ]
    assert events(context, upcoming, kind="late_usage") == [("later", "counted")]
    assert events(context, FEBRUARY, kind="usage") == [
        ("in-time", "counted"),
        ("voided-late", "counted"),
    ]
    (line,) = [
        line
        for line in explain_invoice(context, document=MARCH)["lines"]
        if line["kind"] == "late_usage"
    ]
    assert "which are its events" in line["usage"]["note"]


def test_corrections_and_adjustments_after_the_invoice_stand_on_the_late_line(
    usage: Usage,
) -> None:
    context = usage.context
    void_usage(context, event_id="voided-late")
    request = AdjustmentRequest(
        customer_id="acme",
        meter_key="tokens",
        quantity="900",
        reason="why",
        event_time=parse_instant("2026-02-20T00:00:00Z"),
        dimensions={"model": "large"},
    )
    made = adjust_usage(context, request=request)
    advance_clock(context, to=parse_instant("2026-03-31T11:00:00Z"))
    assert events(context, MARCH, kind="late_usage") == [
        ("voided-late", "voided"),
        (made.id, "adjustment"),
    ]
    # The event stood on the first line, and is shown there as it is now.
    assert events(context, FEBRUARY, kind="usage") == [
        ("in-time", "counted"),
        ("voided-late", "voided"),
    ]


def test_a_late_line_of_an_earlier_version_lists_the_whole_period(usage: Usage) -> None:
    context = usage.context
    usage.send("300", at="2026-02-11T00:00:00Z", event_id="late")
    with context.store.write() as unit:
        unit.connection.exec_driver_sql("DELETE FROM late_fact")  # type: ignore[attr-defined]
    advance_clock(context, to=parse_instant("2026-03-31T11:00:00Z"))
    assert [event_id for event_id, _ in events(context, MARCH, kind="late_usage")] == [
        "in-time",
        "late",
        "voided-late",
    ]


def test_a_correction_is_noted_once_for_each_period() -> None:
    periods = [("sub-2", 5), ("sub-1", 7)]
    kind = LateFactKind.CORRECTION
    assert late_corrections(periods, event_time_us=9, fact_id="e", kind=kind) == [
        ("sub-1", 7, 9, "e", kind),
        ("sub-2", 5, 9, "e", kind),
    ]
