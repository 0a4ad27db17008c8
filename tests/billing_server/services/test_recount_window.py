"""A window is counted from payloads alone, apart from ingest."""

from billing_server.domain.catalog.model import Aggregation, Meter
from billing_server.domain.ports.usage_facts import Correction, CorrectionKind
from billing_server.domain.ports.usage_scan import ScannedEvent, StoredBucket
from billing_server.services.recount_window import WindowCounter
from billing_server.store.unit_of_work import SqlStore
from metering.clock import parse_instant
from tests.billing_server.ingest_world import event

METERS = (
    Meter(key="tokens", quantity="tokens", decimals=1),
    Meter(key="large", quantity="tokens", where={"model": "large"}, aggregation=Aggregation.COUNT),
    Meter(key="users", quantity="", aggregation=Aggregation.UNIQUE_COUNT, of="user"),
)


def scanned(event_id: str, tokens: str, **dimensions: str) -> ScannedEvent:
    message = event(event_id, quantities={"tokens": tokens}, dimensions=dimensions)
    return "acme", 60_000_000, event_id, message.SerializeToString()


def test_events_feed_the_meters_that_read_them(memory_store: SqlStore) -> None:
    counter = WindowCounter(METERS, kept_by_event={})
    events = [
        scanned("a", "5", model="large"),
        scanned("b", "0.5", model="large"),
        scanned("c", "7", model="large", user="u1"),
    ]
    with memory_store.read() as unit:
        expected = counter.count(unit, events=events)
    differing, missing = expected.compare([])
    assert differing == []
    named = {
        (counter.owners[series][1], counter.owners[series][2]): expected.bucket((minute, series))
        for minute, series in missing
    }
    both = '{"model":"large","user":"u1"}'
    assert named == {
        ("tokens", '{"model":"large"}'): (55, 2, None, None),
        ("large", '{"model":"large"}'): (2, 2, None, None),
        ("tokens", both): (70, 1, None, None),
        ("large", both): (1, 1, None, None),
        ("users", both): (1, 1, None, None),
    }
    # None of these series is stored: they have numbers of their own.
    assert all(series < 0 for series in counter.owners)


def test_buckets_that_differ_are_told_apart_from_those_that_are_missing(
    memory_store: SqlStore,
) -> None:
    counter = WindowCounter(METERS[:1], kept_by_event={})
    with memory_store.read() as unit:
        expected = counter.count(unit, events=[scanned("a", "007"), scanned("b", "0.5", user="u")])
    (first, second) = sorted(counter.owners, reverse=True)
    right: StoredBucket = (1, "acme", first, 70, 1, None, None)
    assert expected.compare([right]) == ([], [(1, second)])
    unexpected: StoredBucket = (2, "acme", first, 70, 1, None, None)
    for wrong in (
        [(1, "acme", first, 71, 1, None, None), unexpected],
        [(1, "acme", first, 70, 2, None, None), unexpected],
        [(1, "acme", first, 70, 1, 5, "a"), unexpected],
        [(1, "acme", first, 69, 1 + 2**32, None, None), unexpected],
    ):
        assert expected.compare(wrong) == (wrong, [(1, second)])


def test_an_event_without_quantities_feeds_a_unique_count_unless_it_is_void(
    memory_store: SqlStore,
) -> None:
    counter = WindowCounter(METERS, kept_by_event={})
    message = event("a", quantities={}, dimensions={"user": "u1"})
    only = ("acme", 60_000_000, "a", message.SerializeToString())
    void = Correction(
        event_id="b",
        customer_id="acme",
        version=1,
        kind=CorrectionKind.VOID,
        quantities=None,
        reason="",
        create_time=parse_instant("2026-02-01T00:00:00Z"),
    )
    with memory_store.read() as unit:
        expected = counter.count(unit, events=[only, (*only[:2], "b", only[3])], corrections=[void])
    ((_, series),) = expected.compare([])[1]
    assert counter.owners[series] == ("acme", "users", '{"user":"u1"}')
    assert expected.bucket((1, series)) == (1, 1, None, None)


def test_a_window_without_buckets_ends_where_it_is_told(memory_store: SqlStore) -> None:
    """All of its events may be void."""
    counter = WindowCounter(METERS, kept_by_event={})
    with memory_store.read() as unit:
        assert counter.count(unit, events=[]).end_minute(default=7) == 7
        one = scanned("a", "5", model="large")
        assert counter.count(unit, events=[one]).end_minute(default=7) == 2
