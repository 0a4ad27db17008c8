"""The rows and positions on disk: commits, deletions, recovery, checkpoints."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from meter_agent.core.positions import Positions
from meter_agent.core.retention import Retention
from meter_agent.store import outbox as module
from meter_agent.store.database import open_reader, open_writer
from meter_agent.store.group import Append, Ticket
from meter_agent.store.outbox import Outbox
from metering.errors import InvalidStateError
from tests.meter_agent.support import Store, event


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    opened = Outbox(path, connection=open_writer(path))
    yield opened
    opened.close()


def append(count: int, *, size: int = 300_000) -> Append:
    """An append that is too large to share a row."""
    return Append(count, 100, 50, b"x" * size, Ticket())


def applied(seq: int, *, safe_seq: int | None = None) -> list[object]:
    def change(state: Positions) -> Positions:
        return replace(state, applied_seq=seq, safe_seq=seq if safe_seq is None else safe_seq)

    return [change]


def first_seqs(path: Path) -> list[int]:
    reader = open_reader(path)
    rows = reader.execute("SELECT first_seq FROM block ORDER BY first_seq").fetchall()
    reader.close()
    return [row[0] for row in rows]


def test_a_commit_gives_positions_in_order_and_survives_a_new_connection(
    path: Path, outbox: Outbox
) -> None:
    outbox.commit([append(3), append(2)])
    outbox.commit([append(5)])
    state = outbox.state
    assert (state.positions.next_seq, state.kept_bytes) == (11, 900_000)
    assert first_seqs(path) == [1, 4, 6]
    again = Outbox(path, connection=open_writer(path))
    assert again.state.positions == state.positions
    assert again.state.kept_bytes == 900_000
    again.close()


def test_only_whole_rows_that_are_applied_and_safe_are_deleted(path: Path, outbox: Outbox) -> None:
    outbox.commit([append(3), append(2), append(5)])
    outbox.commit([], changes=applied(9, safe_seq=4))
    # Rows hold 1..3, 4..5 and 6..10; position 5 is not safe yet.
    assert first_seqs(path) == [4, 6]
    assert outbox.state.positions.earliest_kept_seq == 4
    assert outbox.state.kept_bytes == 600_000
    outbox.commit([], changes=applied(9))
    assert first_seqs(path) == [6]
    outbox.commit([], changes=applied(10))
    assert first_seqs(path) == []
    assert (outbox.state.positions.next_seq, outbox.state.kept_bytes) == (11, 0)


def test_a_long_clean_up_goes_in_steps_and_ends(
    path: Path, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRIM_ROW_COUNT_MAX", 2)
    outbox.commit([append(1) for _ in range(5)])
    outbox.commit([], changes=applied(5))
    assert first_seqs(path) == [3, 4, 5]
    assert outbox.state.is_trim_due
    outbox.commit([])
    assert first_seqs(path) == [5]
    outbox.commit([])
    assert first_seqs(path) == []
    assert not outbox.state.is_trim_due


def test_a_clean_up_is_bounded_in_bytes_but_deletes_one_row_at_least(
    path: Path, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRIM_BYTES_MAX", 1)
    outbox.commit([append(1), append(1)])
    outbox.commit([], changes=applied(2))
    assert first_seqs(path) == [2]
    assert outbox.state.is_trim_due


def test_a_clean_up_writes_little_to_the_log(path: Path, outbox: Outbox) -> None:
    outbox.commit([append(1) for _ in range(10)])
    outbox.checkpoint_and_cut()
    outbox.commit([], changes=applied(10))
    assert first_seqs(path) == []
    # 3 MB are deleted; where SQLite overwrites them, all of it goes through the log.
    assert path.with_name("agent.db-wal").stat().st_size < 100_000


def test_the_space_of_deleted_rows_is_used_again(path: Path, outbox: Outbox) -> None:
    for round_no in range(1, 6):
        outbox.commit([append(1, size=2_000_000)])
        outbox.commit([], changes=applied(round_no))
        outbox.checkpoint_and_cut()
    # Ten megabytes went through; the file holds about one round's worth.
    assert path.stat().st_size < 2 * 2_100_000


def test_a_full_disk_fails_the_commit_and_the_next_one_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    connection = open_writer(path)
    outbox = Outbox(path, connection=connection)
    outbox.commit([append(2)])
    before = outbox.state
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full") as caught:
        outbox.commit([append(3)])
    outbox.recover(caught.value)
    # Nothing changed, but that what may go is looked for again.
    assert outbox.state == replace(before, is_trim_due=True)
    connection.execute("PRAGMA max_page_count = 1000000")
    outbox.commit([append(3)])
    assert outbox.state.positions.next_seq == 6
    assert first_seqs(path) == [1, 3]
    outbox.close()


def test_after_any_other_error_a_new_connection_reads_what_the_disk_holds(
    path: Path, outbox: Outbox
) -> None:
    outbox.commit([append(2)], changes=[lambda state: replace(state, session_no=7)])

    def fail(state: Positions) -> Positions:
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(sqlite3.OperationalError) as caught:
        outbox.commit([append(3)], changes=[fail])
    outbox.recover(caught.value)
    outbox.commit([append(4)])
    assert first_seqs(path) == [1, 3]
    assert (outbox.state.positions.next_seq, outbox.state.positions.session_no) == (7, 7)


def test_after_a_failed_sync_nothing_is_written_behind_what_may_be_missing_in_the_log(
    path: Path, outbox: Outbox
) -> None:
    log = path.with_name("agent.db-wal")
    reader = open_reader(path)  # As the agent has: a log that is still open is not deleted.
    outbox.checkpoint_and_cut()
    outbox.commit([append(1)])
    one_commit_bytes = log.stat().st_size
    outbox.commit([append(1)])
    failed = sqlite3.OperationalError("disk I/O error")
    failed.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    outbox.recover(failed)
    outbox.commit([append(1)])
    # The kernel calls pages clean that it could not write: a later sync would not bring them, and
    # whatever stood behind them in the log would be lost with them. So the log begins anew.
    assert log.stat().st_size <= one_commit_bytes
    assert first_seqs(path) == [1, 2, 3]
    reader.close()


def test_after_a_failed_sync_a_log_that_cannot_be_emptied_takes_nothing(
    path: Path, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meter_agent.store.database.BUSY_TIMEOUT_SECONDS", 0.05)
    outbox.commit([append(1)])
    failed = sqlite3.OperationalError("disk I/O error")
    outbox.recover(failed)
    reader = open_reader(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM block").fetchone()
    with pytest.raises(sqlite3.OperationalError, match="log"):
        outbox.commit([append(1)])
    reader.close()
    outbox.commit([append(1)])
    assert first_seqs(path) == [1, 2]


def test_the_log_is_checkpointed_at_its_bound_and_cut_when_idle(path: Path, outbox: Outbox) -> None:
    outbox.checkpoint_and_cut()
    log = path.with_name("agent.db-wal")
    assert log.stat().st_size == 0
    assert not outbox.is_idle_work_due or outbox.state.is_trim_due
    outbox.commit([append(1, size=3_000_000)])
    assert not outbox.is_checkpoint_due
    outbox.commit([append(1, size=3_000_000)])
    assert outbox.is_checkpoint_due
    outbox.checkpoint()
    assert not outbox.is_checkpoint_due
    outbox.commit([append(1)])
    # After a whole checkpoint the log is written from its start again.
    assert log.stat().st_size < 6_500_000
    assert outbox.is_idle_work_due
    outbox.checkpoint_and_cut()
    assert log.stat().st_size == 0


def test_a_reader_delays_a_checkpoint_without_harm(path: Path, outbox: Outbox) -> None:
    outbox.commit([append(1, size=5_000_000)])
    reader = open_reader(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM block").fetchone()
    outbox.commit([append(1)])
    outbox.checkpoint()
    assert outbox.is_idle_work_due
    reader.execute("COMMIT")
    reader.close()
    outbox.checkpoint()
    assert not outbox.is_checkpoint_due


def test_a_file_that_is_nearly_empty_gives_its_space_back_and_one_that_is_not_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path) as store:
        items = [event(f"event-{n}", dimensions={"k": "x" * 200}) for n in range(1_000)]
        for _ in range(10):
            store.record(items)
        store.writer.change(lambda state: replace(state, applied_seq=9_000, safe_seq=9_000))
    full_bytes = store.path.stat().st_size
    outbox = Outbox(store.path, connection=open_writer(store.path))
    free = outbox.free_in_file()
    assert free > full_bytes // 2
    outbox.give_space_back(free_bytes_min=free + 1)
    outbox.checkpoint_and_cut()
    assert store.path.stat().st_size == full_bytes
    with monkeypatch.context() as patch:
        patch.setattr(module, "SHRINK_KEPT_BYTES_MAX", 1)
        outbox.give_space_back(free_bytes_min=free)
    assert store.path.stat().st_size == full_bytes
    outbox.give_space_back(free_bytes_min=free)
    assert store.path.stat().st_size < full_bytes // 4
    assert outbox.state.positions.buffered_count == 1_000
    outbox.close()


@pytest.mark.parametrize("table", ["agent_state", "block"])
def test_a_damaged_page_is_told_with_the_remedy(path: Path, table: str) -> None:
    connection = open_writer(path)
    Outbox(path, connection=connection).commit([append(1)])
    [page] = connection.execute(
        "SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)
    ).fetchone()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    damaged = open_writer(path)
    with pytest.raises(InvalidStateError, match="salvages what can be read") as caught:
        Outbox(path, connection=damaged)
    assert caught.value.reason == "DATABASE_DAMAGED"
    with pytest.raises(sqlite3.ProgrammingError):
        damaged.execute("SELECT 1")


def test_a_state_that_is_gone_is_damage(path: Path) -> None:
    connection = open_writer(path)
    connection.execute("DELETE FROM agent_state")
    with pytest.raises(InvalidStateError, match="the agent's state is gone"):
        Outbox(path, connection=connection)


def _retained(outbox: Outbox, *, now_us: int = 100, bytes_max: int = 4_000_000) -> None:
    outbox.retention = Retention(seconds=60, bytes_max=bytes_max)
    outbox.now_us = lambda: now_us


def test_rows_that_may_go_are_kept_for_a_replay_until_their_time_is_over(
    path: Path, outbox: Outbox
) -> None:
    _retained(outbox)
    outbox.commit([append(3), append(2)])
    outbox.commit([], changes=applied(5))
    # Two rows of 300,000 bytes: below a quarter of the budget of 4,000,000.
    assert first_seqs(path) == [1, 4]
    assert outbox.state.positions.earliest_kept_seq == 1
    assert not outbox.is_idle_work_due or not outbox.state.is_trim_due
    _retained(outbox, now_us=100 + 60_000_000)
    outbox.commit([], changes=applied(5))
    assert first_seqs(path) == []
    assert outbox.state.positions.next_seq == 6


def test_the_oldest_replay_rows_go_beyond_a_quarter_of_the_budget(
    path: Path, outbox: Outbox
) -> None:
    _retained(outbox)
    outbox.commit([append(1) for _ in range(5)])
    outbox.commit([], changes=applied(5))
    # 1,500,000 bytes are more than the 1,000,000 allowed: two rows of 300,000 go.
    assert first_seqs(path) == [3, 4, 5]


def test_replay_rows_make_way_for_new_events(path: Path, outbox: Outbox) -> None:
    _retained(outbox)
    outbox.commit([append(1) for _ in range(3)])
    outbox.commit([], changes=applied(3))
    assert first_seqs(path) == [1, 2, 3]
    outbox.commit([append(1) for _ in range(8)])
    # 2,400,000 wait: (3,600,000 - 2,400,000) / 2 = 600,000 may be kept beside them.
    assert first_seqs(path)[:3] == [2, 3, 4]
    assert outbox.state.positions.buffered_count == 8


def test_rows_that_are_not_safe_are_kept_whatever_the_budget(path: Path, outbox: Outbox) -> None:
    _retained(outbox, now_us=10**15)
    outbox.commit([append(1) for _ in range(5)])
    outbox.commit([], changes=applied(5, safe_seq=1))
    assert first_seqs(path) == [2, 3, 4, 5]


def test_a_full_disk_needs_the_room_more_than_a_replay(path: Path, outbox: Outbox) -> None:
    _retained(outbox)
    outbox.commit([append(1), append(1)])
    outbox.commit([], changes=applied(2))
    assert first_seqs(path) == [1, 2]
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    outbox.is_disk_short = lambda: True
    outbox.recover(full)
    outbox.commit([append(1)])
    assert first_seqs(path) == [3]
