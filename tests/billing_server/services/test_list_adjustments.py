"""What was added by hand is listed in pages, on both databases."""

import pytest

from billing_server.services.correct_usage import AdjustmentRequest, adjust_usage
from billing_server.services.list_adjustments import list_adjustments
from billing_server.services.pages import PageRequest
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from metering.errors import NotFoundError, ValidationError
from tests.billing_server.world import CATALOG, apply, make_context

START, END = parse_instant("2026-01-01T00:00:00Z"), parse_instant("2026-02-01T00:00:00Z")


def test_adjustments_are_listed_in_pages_by_time_and_id(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG)
    # Two of one instant, and one before them.
    for number, at in enumerate(("30T00:00:00Z", "30T00:00:00Z", "29T00:00:00.5Z"), start=1):
        request = AdjustmentRequest(
            customer_id="acme",
            meter_key="tokens",
            quantity=f"-{number}",
            reason="recount",
            event_time=parse_instant(f"2026-01-{at}"),
        )
        adjust_usage(context, request=request)
    found, cursor = [], None
    while True:
        page = list_adjustments(
            context,
            customer_id="acme",
            start=START,
            end=END,
            page=PageRequest(cursor=cursor, limit=1),
        )
        found += page.entries
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found[0].adjustment.value == -3
    assert sorted(each.adjustment.value for each in found[1:]) == [-2, -1]
    # Nothing charges tokens without a model.
    assert (found[0].meter.key, found[0].is_priced) == ("tokens", False)
    assert sorted(found, key=lambda each: (each.adjustment.event_time, each.adjustment.id)) == found


def test_an_unknown_customer_and_a_wrong_cursor_are_refused(memory_store: SqlStore) -> None:
    context = make_context(memory_store)
    apply(context, CATALOG)
    page = PageRequest(cursor="bm9uc2Vuc2U")
    with pytest.raises(NotFoundError):
        list_adjustments(context, customer_id="no", start=START, end=END, page=PageRequest())
    with pytest.raises(ValidationError, match="cursor"):
        list_adjustments(context, customer_id="acme", start=START, end=END, page=page)
