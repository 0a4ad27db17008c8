"""A fold takes whole windows from the sums, and reads what they do not tell."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from billing_server.domain.catalog.model import Aggregation, Meter
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.ports.usage import BucketChange, LatestChange, SeriesUsage
from billing_server.domain.usage.instants import instant_from_minute
from billing_server.services.recount_window import WindowCounter
from billing_server.services.verified_sums import VerifiedSums
from billing_server.store.series_sums import open_series_sums
from billing_server.store.unit_of_work import SqlStore
from metering.period import Period
from tests.billing_server.ingest_world import event

METERS = (
    Meter(key="tokens", quantity="tokens"),
    Meter(key="peak", quantity="tokens", aggregation=Aggregation.MAX),
    Meter(key="seats", quantity="tokens", aggregation=Aggregation.LATEST),
)
EVENTS = [(10, 5), (10, 7), (11, 3), (12, 2**40), (14, 1)]
"""Minute and tokens."""
WINDOWS = [(10, 12), (12, 14), (14, None)]


@pytest.fixture
def unit(memory_store: SqlStore) -> Iterator[UnitOfWork]:
    with memory_store.write() as unit:
        numbers = unit.usage.series_ids([("acme", meter.key, "{}") for meter in METERS])
        tokens, peak, seats = (numbers["acme", meter.key, "{}"] for meter in METERS)
        for position, (minute, value) in enumerate(EVENTS):
            time_us, event_id = minute * 60_000_000, f"e{position}"
            unit.usage.add_to_buckets([BucketChange(minute, "acme", tokens, value, 1)])
            unit.usage.raise_buckets([BucketChange(minute, "acme", peak, value, 1)])
            latest = LatestChange(minute, "acme", seats, value, 1, time_us, event_id)
            unit.usage.put_latest_buckets([latest])
        yield unit


@pytest.fixture
def sums(unit: UnitOfWork) -> Iterator[VerifiedSums]:
    counter = WindowCounter(METERS, kept_by_event={})
    with open_series_sums() as kept:
        sums = VerifiedSums(kept)
        for start, end in WINDOWS:
            scanned = [
                (
                    "acme",
                    minute * 60_000_000,
                    f"e{position}",
                    event(f"e{position}", quantities={"tokens": str(value)}).SerializeToString(),
                )
                for position, (minute, value) in enumerate(EVENTS)
                if start <= minute and (end is None or minute < end)
            ]
            expected = counter.count(unit, events=scanned)
            assert expected.equals(unit.usage_scan.window_buckets(start, end=end))
            sums.add(counter, expected, start=start, end=end)
        yield sums


def at(minute: int) -> datetime:
    return instant_from_minute(minute)


def folded(unit: UnitOfWork, start: int, end: int) -> list[SeriesUsage]:
    return sorted(
        unit.usage.fold_usage("acme", start=at(start), end=at(end)),
        key=lambda usage: usage.series_id,
    )


def relevant(found: SeriesUsage) -> tuple[object, ...]:
    """Returns what the aggregation of its meter looks at."""
    by_meter = {"tokens": found.total, "peak": found.maximum, "seats": found.latest}
    return found.meter_key, found.dimensions, found.event_count, by_meter[found.meter_key]


@pytest.mark.parametrize("start", range(8, 16))
@pytest.mark.parametrize("end", [9, 11, 12, 13, 14, 15, 20])
def test_a_fold_from_sums_is_the_fold_of_the_buckets(
    unit: UnitOfWork, sums: VerifiedSums, start: int, end: int
) -> None:
    if start >= end:
        return
    fold = sums.fold_of(unit, customer_id="acme")
    found = sorted(fold(Period(at(start), at(end))), key=lambda usage: usage.series_id)
    assert [relevant(each) for each in found] == [
        relevant(each) for each in folded(unit, start, end)
    ]


def test_whole_windows_are_not_read_again(unit: UnitOfWork, sums: VerifiedSums) -> None:
    fold = sums.fold_of(unit, customer_id="acme")
    before = {each.series_id: relevant(each) for each in folded(unit, 10, 20)}
    # What is damaged after its window was right is the next check's to find.
    (tokens,) = (each for each in folded(unit, 10, 20) if each.meter_key == "tokens")
    unit.usage.add_to_buckets([BucketChange(10, "acme", tokens.series_id, 100, 0)])
    assert {each.series_id: relevant(each) for each in fold(Period(at(0), at(99)))} == before


def test_a_window_that_was_left_out_is_read(unit: UnitOfWork) -> None:
    with open_series_sums() as kept:
        sums = VerifiedSums(kept)
        sums.leave_out(start=10, end=12)
        sums.leave_out(start=12, end=None)
        found = sums.fold_of(unit, customer_id="acme")(Period(at(0), at(99)))
        assert sorted(relevant(each) for each in found) == sorted(
            relevant(each) for each in folded(unit, 10, 20)
        )
