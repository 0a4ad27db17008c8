"""Reading what is left of a damaged database."""

import sqlite3
from pathlib import Path

import pytest

from meter_agent.store import salvage as module
from meter_agent.store.database import PAGE_BYTES
from meter_agent.store.salvage import BlockSalvage
from tests.meter_agent.support import NOW_US, Store, event, events, ids_of

BLOCK_COUNT = 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Sixty blocks of one event each, at positions 1 to 60, some on each page."""
    with Store(tmp_path) as store:
        for number in range(BLOCK_COUNT):
            made = event(f"event-{number}", dimensions={"k": "x" * 200})
            store.record([made], receive_time_us=NOW_US + number * 1_000_000)
    return store.path


def salvaged(path: Path, *, first_seq: int = 1) -> list[int]:
    salvage = BlockSalvage(path)
    found = [row["first_seq"] for row in salvage.blocks(first_seq=first_seq)]
    salvage.close()
    return found


def page_of(path: Path, event_id: str) -> int:
    """Returns the offset of the page that holds the event's block."""
    raw = path.read_bytes()
    return raw.index(event_id.encode()) // PAGE_BYTES * PAGE_BYTES


def wipe_page(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * PAGE_BYTES)


def test_a_whole_database_is_read_whole_or_from_a_position_on(path: Path) -> None:
    assert salvaged(path) == list(range(1, BLOCK_COUNT + 1))
    assert salvaged(path, first_seq=40) == list(range(40, BLOCK_COUNT + 1))


def test_what_lies_around_a_destroyed_page_is_read(path: Path) -> None:
    wipe_page(path, page_of(path, "event-30"))
    found = salvaged(path)
    missing = sorted(set(range(1, BLOCK_COUNT + 1)) - set(found))
    assert 31 in missing
    # One page: what is missing follows one another, and the rest is all there.
    assert missing == list(range(missing[0], missing[-1] + 1))
    assert len(missing) < 20
    salvage = BlockSalvage(path)
    assert salvage.last_first_seq() == BLOCK_COUNT
    assert salvage.state() is not None
    salvage.close()


def test_a_block_that_changed_is_left_out(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"event-17", b"event-71"))
    assert salvaged(path) == [seq for seq in range(1, BLOCK_COUNT + 1) if seq != 18]


def test_a_block_of_an_older_program_is_judged_by_its_content(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.record(events("a"))
        store.record(events("b", "c"))
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE block SET events_crc32 = NULL")
        connection.execute("UPDATE block SET events = X'0a05' WHERE first_seq = 1")
    connection.close()
    salvage = BlockSalvage(store.path)
    assert [ids_of(row["events"]) for row in salvage.blocks(first_seq=1)] == [["b", "c"]]
    salvage.close()


def test_without_a_schema_there_is_nothing_and_the_work_ends(path: Path) -> None:
    wipe_page(path, 0)
    assert salvaged(path) == []
    salvage = BlockSalvage(path)
    assert (salvage.state(), salvage.last_first_seq()) == (None, 0)
    salvage.close()


def test_without_the_root_of_the_blocks_the_work_ends_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_FAILURE_COUNT_MAX", 100)
    monkeypatch.setattr(module, "COARSER_COUNT", 10)
    connection = sqlite3.connect(path)
    [root] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name='block'").fetchone()
    connection.close()
    wipe_page(path, (root - 1) * PAGE_BYTES)
    assert salvaged(path) == []


@pytest.mark.parametrize(
    "change",
    [
        "first_seq = 4711 WHERE first_seq = 10",
        "event_count = 2 WHERE first_seq = 10",
        "receive_time_us = receive_time_us + 60000000 WHERE first_seq = 10",
        "oldest_event_time_us = 1 WHERE first_seq = 10",
    ],
)
def test_a_changed_number_of_a_block_is_damage_too(path: Path, change: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE block SET {change}")
    connection.close()
    assert salvaged(path) == [seq for seq in range(1, BLOCK_COUNT + 1) if seq != 10]
