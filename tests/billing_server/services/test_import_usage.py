"""Old usage is counted once, however often it is imported. On both databases."""

from datetime import timedelta

import pytest

from billing_server.services.import_usage import IMPORT_EVENTS_MAX, ImportedEvent, import_usage
from billing_server.services.ingest_tally import Tally
from billing_server.services.upcoming_invoice import upcoming_invoice
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from metering.errors import ValidationError
from tests.billing_server.meters import METERS, START, Sender
from tests.billing_server.world import apply, make_context

LONG_AGO = parse_instant(START)


def old(number: int, *, tokens: str = "100", customer: str = "acme") -> ImportedEvent:
    return ImportedEvent(
        event_id=f"old-{number}",
        customer_id=customer,
        event_time=LONG_AGO + timedelta(minutes=number),
        quantities={"tokens": tokens},
    )


def test_r13_a_file_that_is_imported_twice_counts_once(store: SqlStore) -> None:
    context = make_context(store, start="2026-06-20T00:00:00Z")
    apply(context, METERS.replace("start: 2026-04-01T00:00:00Z", "start: 2026-06-01T00:00:00Z"))
    events = [old(number) for number in range(3)]
    assert import_usage(context, events=events) == Tally(counted=3)
    assert import_usage(context, events=[*events, old(3)]) == Tally(counted=1, duplicates=3)
    assert import_usage(context, events=[old(1, tokens="7")]) == Tally(conflicts=1)
    assert import_usage(context, events=[old(9, customer="nobody")]) == Tally(quarantined=1)


def test_an_event_that_an_agent_shipped_is_not_counted_again(store: SqlStore) -> None:
    context = make_context(store, start=START)
    apply(context, METERS)
    Sender(context).send({"tokens": "100"}, at=LONG_AGO, event_id="old-0")
    assert import_usage(context, events=[old(0), old(1)]) == Tally(counted=1, duplicates=1)
    (line,) = upcoming_invoice(context, customer_id="acme")["lines"]
    assert line["quantity"] == "200"


def test_too_many_events_and_events_of_the_future_are_refused_whole(store: SqlStore) -> None:
    context = make_context(store, start=START)
    apply(context, METERS)
    for events, reason in (
        ([old(0)] * (IMPORT_EVENTS_MAX + 1), "TOO_MANY_EVENTS"),
        ([old(0), old(6)], "EVENT_TIME_IN_FUTURE"),
    ):
        with pytest.raises(ValidationError) as raised:
            import_usage(context, events=events)
        assert raised.value.reason == reason
    assert import_usage(context, events=[old(0)]) == Tally(counted=1)
