"""Folds and lists of usage. On both databases."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy.event import listen

from billing_server.domain.ports.usage import (
    DISCARDED,
    BucketChange,
    ChargeKey,
    ChargeRow,
    EventRow,
    RunningCharge,
)
from billing_server.domain.usage.instants import microseconds_from_instant, minute_from_instant
from billing_server.store.unit_of_work import SqlStore, SqlUnitOfWork, open_store
from tests.billing_server.ingest_world import START, IngestWorld

MINUTE = timedelta(minutes=1)
M = minute_from_instant(START)


def count(unit: SqlUnitOfWork, series_id: int, *values: int, customer: str = "acme") -> None:
    unit.usage.add_to_buckets(
        [
            BucketChange(M + offset, customer, series_id, value, 1)
            for offset, value in enumerate(values)
        ]
    )


def waiting(event_id: str, customer: str) -> EventRow:
    return EventRow(event_id, customer, 2**62, 1, 1, 1, b"p", "WHY", "because")


def test_a_fold_covers_whole_minutes_and_not_the_end_r1(store: SqlStore) -> None:
    keys = [
        ("acme", "tokens", '{"model":"a"}'),
        ("acme", "calls", "{}"),
        ("other", "tokens", "{}"),
    ]
    with store.write() as unit:
        numbers = unit.usage.series_ids(keys)
        count(unit, numbers[keys[0]], 1, 2, 4, 8)
        count(unit, numbers[keys[1]], 16)
        count(unit, numbers[keys[2]], 32, customer="other")
        folded = unit.usage.fold_usage("acme", start=START + MINUTE, end=START + 3 * MINUTE)
        assert [(each.meter_key, each.total, each.maximum) for each in folded] == [("tokens", 6, 4)]
        assert folded[0].dimensions == {"model": "a"}
        assert folded[0].event_count == 2
        everything = unit.usage.fold_usage("acme", start=START, end=START + 9 * MINUTE)
        assert [each.meter_key for each in everything] == ["calls", "tokens"]
        only = unit.usage.fold_usage(
            "acme", start=START, end=START + 9 * MINUTE, meter_key="tokens"
        )
        assert [each.total for each in only] == [15]


def test_a_fold_beyond_64_bits_is_exact(store: SqlStore) -> None:
    largest = 2**63 - 1
    with store.write() as unit:
        key = ("acme", "tokens", "{}")
        count(unit, unit.usage.series_ids([key])[key], *([largest] * 5))
        (folded,) = unit.usage.fold_usage("acme", start=START, end=START + 9 * MINUTE)
    assert folded.total == 5 * largest
    assert folded.maximum == largest


def test_the_span_of_usage_is_its_first_and_last_minute(store: SqlStore) -> None:
    with store.write() as unit:
        assert unit.usage.usage_span("acme") is None
        key = ("acme", "tokens", "{}")
        count(unit, unit.usage.series_ids([key])[key], 1, 1, 1)
        assert unit.usage.usage_span("acme") == (START, START + 2 * MINUTE)


def test_running_charges_are_read_and_deleted_by_period(store: SqlStore) -> None:
    later = START + timedelta(days=31)
    with store.write() as unit:
        for start in (START, later):
            key = ChargeKey("acme", "sub", microseconds_from_instant(start), "input", 0)
            unit.usage.put_charges([ChargeRow(key, 7, Decimal("0.07"), 7)])
        wanted = (RunningCharge("sub", START, "input", 0, 7, Decimal("0.07"), 7),)
        read = unit.usage.running_charges
        assert read("sub", customer_id="acme", period_start=START) == wanted
        unit.usage.delete_charges("sub", customer_id="acme", period_start=START)
        assert read("sub", customer_id="acme", period_start=START) == ()
        assert len(read("sub", customer_id="acme", period_start=later)) == 1
        unit.usage.delete_charges("sub", customer_id="acme")
        assert read("sub", customer_id="acme", period_start=later) == ()


def test_waiting_events_are_listed_page_by_page_whatever_their_time(store: SqlStore) -> None:
    rows = [waiting("b", "acme"), waiting("a", "other"), waiting("a", "acme")]
    counted = waiting("z", "acme")._replace(quarantine_reason=None, quarantine_detail=None)
    with store.write() as unit:
        unit.usage.insert_events([*rows, counted])
        first = unit.usage.quarantined(limit=2)
        assert [(row.customer_id, row.event_id) for row in first] == [("acme", "a"), ("acme", "b")]
        assert first[0] == rows[2]
        second = unit.usage.quarantined(limit=2, after=("b", "acme"))
        assert [row.customer_id for row in second] == ["other"]
        assert len(unit.usage.quarantined(customer_id="acme", limit=9)) == 2
        assert unit.usage.quarantined_count() == 3
        unit.usage.set_quarantine([("a", "acme")], reason=None, detail=None)
        assert unit.usage.quarantined_count() == 2


def test_discarded_events_wait_no_more_and_are_left_as_they_are(store: SqlStore) -> None:
    rows = [waiting("a", "acme"), waiting("b", "acme"), waiting("c", "other")]
    keys = [(row.event_id, row.customer_id) for row in rows]
    with store.write() as unit:
        unit.usage.insert_events(rows)
        assert unit.usage.set_quarantine(keys[:2], reason=DISCARDED, detail="why") == 2
        assert unit.usage.set_quarantine(keys, reason=None, detail=None) == 1
        assert unit.usage.set_quarantine(keys, reason="OTHER", detail=None) == 0
        stored = unit.usage.stored_events(keys)
        assert [stored[key].quarantine_reason for key in keys] == [DISCARDED, DISCARDED, None]
        assert unit.usage.quarantined(limit=9) == ()
        assert unit.usage.quarantined_count() == 0
        assert unit.usage.waiting_customers(after="", limit=9) == {}


def test_waiting_events_are_found_by_the_index_that_passes_discarded_ones_by(
    sqlite_url: str,
) -> None:
    store = open_store(sqlite_url)
    told: list[str] = []
    with store.read() as unit:
        listen(
            unit.connection,
            "before_cursor_execute",
            lambda *arguments: told.append(arguments[2]),
        )
        unit.usage.quarantined_count()
        unit.usage.waiting_customers(after="", limit=9)
        for query in [query for query in told if "usage_event" in query]:
            values = ("",) * query.count("?")
            plan = unit.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values).all()
            of_events = [row.detail for row in plan if "usage_event" in row.detail]
            assert {"INDEX ix_usage_event_waiting" in detail for detail in of_events} == {True}
    store.close()


@pytest.mark.parametrize("reason", ["because", None])
def test_a_subscription_remembers_why_it_cannot_be_rated(
    store: SqlStore, reason: str | None
) -> None:
    world = IngestWorld(store)
    with world.store.write() as unit:
        unit.usage.set_rating_failed("sub-acme", reason="before")
        unit.usage.set_rating_failed("sub-acme", reason=reason)
        assert unit.usage.rating_failed("acme") == ({"sub-acme": reason} if reason else {})
