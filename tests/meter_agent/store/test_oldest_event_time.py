"""The oldest event time of what waits, found again and again without starting over."""

import random
import sqlite3
from pathlib import Path

import pytest

from meter_agent.store.database import open_writer
from meter_agent.store.oldest_event_time import OldestEventTime


class Rows:
    """A database of rows of one event each, and how often a search looked at one."""

    def __init__(self, path: Path) -> None:
        self.connection: sqlite3.Connection = open_writer(path)
        self.times: list[int] = []

    def add(self, *times: int) -> None:
        for time_us in times:
            self.times.append(time_us)
            self.connection.execute(
                "INSERT INTO block (first_seq, event_count, receive_time_us, "
                "oldest_event_time_us, end_bytes, events) VALUES (?, 1, 0, ?, 0, x'')",
                (len(self.times), time_us),
            )

    def ask(self, sql: str, parameters: tuple[int, ...]) -> int | None:
        row = self.connection.execute(sql, parameters).fetchone()
        return None if row is None or row[0] is None else int(row[0])


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    return Rows(tmp_path / "agent.db")


def test_it_is_none_where_nothing_waits(rows: Rows) -> None:
    oldest = OldestEventTime()
    assert oldest.find(rows.ask, first_seq=1) is None
    rows.add(7)
    assert oldest.find(rows.ask, first_seq=1) == 7
    assert oldest.find(rows.ask, first_seq=2) is None


def test_rows_that_count_again_are_found_again(rows: Rows) -> None:
    oldest = OldestEventTime()
    rows.add(5, 9)
    assert oldest.find(rows.ask, first_seq=2) == 9
    assert oldest.find(rows.ask, first_seq=1) == 5


@pytest.mark.parametrize("seed", range(20))
def test_it_agrees_with_a_look_at_every_row(rows: Rows, seed: int) -> None:
    draw, oldest, first_seq = random.Random(seed), OldestEventTime(), 1
    for _ in range(60):
        rows.add(*(draw.randint(1, 30) for _ in range(draw.randint(0, 3))))
        first_seq = draw.randint(1, len(rows.times) + 1) if draw.random() < 0.1 else first_seq
        first_seq = min(first_seq + draw.randint(0, 3), len(rows.times) + 1)
        expected = min(rows.times[first_seq - 1 :], default=None)
        assert oldest.find(rows.ask, first_seq=first_seq) == expected
