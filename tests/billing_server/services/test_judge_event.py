from billing_server.domain.ports.usage import EventRow
from billing_server.domain.usage.meter_index import Quarantine
from billing_server.services.judge_event import (
    DETAIL_LENGTH_MAX,
    TOO_LARGE,
    unknown_customer,
    waiting_row,
)
from billing_server.services.usage_payload import decode_row
from tests.billing_server.ingest_world import event

EVENT = decode_row(
    EventRow(
        "e1", "nobody", 0, 0, 1, 1, event("e1", customer="nobody").SerializeToString(), None, None
    )
)


def test_an_unknown_customer_is_named_with_the_remedy() -> None:
    why = unknown_customer(EVENT)
    assert why.reason == "CUSTOMER_UNKNOWN"
    assert "'nobody'" in why.message
    assert "create it" in why.message


def test_an_event_waits_in_the_row_it_came_in() -> None:
    row = waiting_row(EVENT, TOO_LARGE)
    assert row == EVENT.row._replace(
        quarantine_reason="QUANTITY_TOO_LARGE", quarantine_detail=TOO_LARGE.message
    )


def test_of_a_long_trace_the_end_is_kept() -> None:
    row = waiting_row(EVENT, Quarantine("INTERNAL_ERROR", "start " + "x" * 9_000 + " end"))
    assert row.quarantine_detail is not None
    assert len(row.quarantine_detail) == DETAIL_LENGTH_MAX
    assert row.quarantine_detail.endswith(" end")
