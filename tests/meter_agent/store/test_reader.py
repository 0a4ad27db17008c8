"""Pages of blocks: contiguous, bounded, cut where they must be."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from meter_agent.core.blocks import Block
from meter_agent.store.group import JOINED_SPAN_US
from meter_agent.store.reader import OutboxReader
from metering.errors import InvalidStateError
from tests.meter_agent.support import NOW_US, Store, events, ids_of, numbered, packed


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as opened:
        # Three rows with events 1..3, 4..5 and 6..9, ids event-1 to event-9.
        for index, (start, stop) in enumerate([(1, 4), (4, 6), (6, 10)]):
            receive_time_us = NOW_US + index * (JOINED_SPAN_US + 1)
            opened.record(numbered(start, stop), receive_time_us=receive_time_us)
        yield opened


@pytest.fixture
def reader(store: Store) -> Iterator[OutboxReader]:
    opened = OutboxReader(store.path)
    yield opened
    opened.close()


def ids(page: list[Block]) -> list[str]:
    return [event_id for block in page for event_id in ids_of(block.events)]


def is_contiguous(page: list[Block]) -> bool:
    return all(left.last_seq + 1 == right.first_seq for left, right in pairwise(page))


@pytest.mark.parametrize("first_seq", range(1, 10))
@pytest.mark.parametrize("event_count_max", [1, 2, 3, 4, 5, 8, 9, 100])
def test_a_page_starts_at_its_position_and_keeps_its_bound(
    reader: OutboxReader, first_seq: int, event_count_max: int
) -> None:
    page = reader.page(first_seq=first_seq, event_count_max=event_count_max, bytes_max=10**6)
    found = ids(page)
    assert page[0].first_seq == first_seq
    assert is_contiguous(page)
    assert 1 <= len(found) <= event_count_max
    assert found == [f"event-{first_seq + offset}" for offset in range(len(found))]


@pytest.mark.parametrize("bytes_max", [1, 50, 100, 150, 200, 300, 500])
def test_a_page_keeps_its_bound_of_bytes_and_never_skips(
    reader: OutboxReader, bytes_max: int
) -> None:
    seen: list[str] = []
    while page := reader.page(first_seq=len(seen) + 1, event_count_max=100, bytes_max=bytes_max):
        size = sum(len(block.events) for block in page)
        assert size <= bytes_max or len(ids(page)) == 1
        seen += ids(page)
    assert seen == [f"event-{number}" for number in range(1, 10)]


def test_beyond_the_end_there_is_nothing(reader: OutboxReader) -> None:
    assert reader.page(first_seq=10, event_count_max=100, bytes_max=10**6) == []


def test_the_backlog_counts_the_rows_that_are_not_wholly_applied(
    store: Store, reader: OutboxReader
) -> None:
    sizes = [len(packed(numbered(*span))) for span in ((1, 4), (4, 6), (6, 10))]
    positions = store.writer.state.positions
    whole = reader.backlog(positions)
    assert (whole.bytes, whole.oldest_receive_time_us) == (sum(sizes), NOW_US)
    part = reader.backlog(replace(positions, applied_seq=4))
    assert (part.bytes, part.oldest_receive_time_us) == (
        sizes[1] + sizes[2],
        NOW_US + JOINED_SPAN_US + 1,
    )
    none = reader.backlog(replace(positions, applied_seq=9))
    assert (none.bytes, none.oldest_receive_time_us) == (0, None)


def test_the_oldest_event_time_is_that_of_what_is_left(reader: OutboxReader) -> None:
    assert reader.oldest_event_time_us(first_seq=1) == NOW_US
    assert reader.oldest_event_time_us(first_seq=4) == NOW_US + JOINED_SPAN_US + 1
    assert reader.oldest_event_time_us(first_seq=10) is None


def test_a_block_that_changed_on_disk_is_not_shipped(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.record(events("event-1"))
    with sqlite3.connect(store.path) as connection:
        # One byte of the customer's name: still a good message, of another customer.
        connection.execute(
            "UPDATE block SET events = CAST(replace(CAST(events AS TEXT), 'acme', 'acmf') AS BLOB)"
        )
    connection.close()
    reader = OutboxReader(store.path)
    with pytest.raises(InvalidStateError, match="position 1 fails its checksum") as caught:
        reader.page(first_seq=1, event_count_max=10, bytes_max=10_000)
    reader.close()
    assert caught.value.reason == "DATABASE_DAMAGED"
