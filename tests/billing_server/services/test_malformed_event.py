"""An event that an agent should have refused waits alone and is never counted."""

from datetime import UTC, datetime, timedelta

import pytest

from billing_server.domain.ports.usage import EventRow
from billing_server.domain.usage.instants import microseconds_from_instant
from billing_server.services.ingest_tally import Tally
from billing_server.services.ingest_usage import PushState
from billing_server.services.malformed_event import EVENT_TIME_US_MAX, storable_row
from billing_server.services.redrive_quarantine import Redriven, redrive_quarantine
from billing_server.store.unit_of_work import SqlStore
from metering.api.v1 import usage_pb2
from tests.billing_server.ingest_world import IngestWorld, event

ROW = EventRow("e1", "acme", 1_000, 2_000, 1, 1, b"payload", None, None)


def timed(seconds: int) -> usage_pb2.UsageEvent:
    message = event("timed")
    message.event_time.seconds = seconds
    return message


BAD = [
    (event(""), "EVENT_ID_MALFORMED"),
    (event("e" * 129), "EVENT_ID_MALFORMED"),
    (event("e\0"), "EVENT_ID_MALFORMED"),
    (event("e", customer="é" * 65), "CUSTOMER_ID_MALFORMED"),
    (event("e", customer="a\0"), "CUSTOMER_ID_MALFORMED"),
    (timed(-1), "EVENT_TIME_MALFORMED"),
    (timed(253_402_300_800), "EVENT_TIME_MALFORMED"),
    (timed(EVENT_TIME_US_MAX // 1_000_000), "EVENT_TIME_MALFORMED"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_a_malformed_event_never_holds_up_the_others_of_its_push(
    store: SqlStore, bad: usage_pb2.UsageEvent, reason: str
) -> None:
    world = IngestWorld(store)
    agent = world.agent()
    outcome = agent.push(event("good-1"), bad, event("good-2"))
    assert (outcome.state, outcome.applied_seq) == (PushState.APPLIED, 3)
    assert outcome.tally == Tally(counted=2, quarantined=1)
    assert list(world.waiting().values()) == [reason]
    # A repeat is answered the same, and a copy from another agent is a duplicate.
    repeated = agent.push(event("good-1"), bad, event("good-2"), first_seq=1)
    assert repeated.tally == outcome.tally
    assert world.agent().push(bad).tally == Tally(duplicates=1)
    # Nothing that comes makes it right: it is an operator's.
    assert redrive_quarantine(store) == Redriven(waiting=1)
    assert world.totals() == {("input_tokens", ""): 200}
    with store.read() as unit:
        (row,) = unit.usage.quarantined(limit=9)
    assert usage_pb2.UsageEvent.FromString(row.payload) == bad


def test_a_quantity_whose_name_no_database_keeps_waits_with_a_reason(store: SqlStore) -> None:
    world = IngestWorld(store)
    agent = world.agent()
    agent.push(event("good"), event("bad", quantities={"to\0kens": "1"}))
    assert world.waiting() == {"bad": "METER_UNKNOWN"}
    assert world.totals() == {("input_tokens", ""): 100}


def test_a_good_row_stays_as_it_is() -> None:
    assert storable_row(ROW) is ROW
    last = microseconds_from_instant(datetime(2200, 1, 1, tzinfo=UTC) - timedelta(microseconds=1))
    at_the_border = ROW._replace(event_time_us=last)
    assert storable_row(at_the_border) is at_the_border


def test_events_with_different_contents_get_keys_of_their_own() -> None:
    first, second = (storable_row(ROW._replace(event_id="", payload=each)) for each in (b"a", b"b"))
    assert first.event_id != second.event_id
    assert first.event_id.startswith("malformed:")
    assert len(first.event_id) <= 128
    assert storable_row(ROW._replace(event_time_us=-1)).event_time_us == ROW.receive_time_us
