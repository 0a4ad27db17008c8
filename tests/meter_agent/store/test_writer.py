"""The writer's thread: group commit, bounds, failures that let every caller go."""

import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from meter_agent.core.positions import Positions
from meter_agent.store import writer as module
from meter_agent.store.group import Ticket
from meter_agent.store.reader import OutboxReader
from meter_agent.store.writer import COMMIT_EVENT_COUNT_MAX
from metering.errors import (
    InvariantError,
    QuotaExceededError,
    UnavailableError,
)
from tests.meter_agent.support import NOW_US, WAIT_SECONDS, Store, events, ids_of, numbered, packed


class Gate:
    """Holds the writer's thread inside a commit until it is opened."""

    def __init__(self, store: Store) -> None:
        self._inside = threading.Event()
        self._open = threading.Event()
        self._thread = threading.Thread(target=lambda: store.writer.change(self._wait))
        self._thread.start()
        assert self._inside.wait(WAIT_SECONDS)

    def _wait(self, state: Positions) -> Positions:
        self._inside.set()
        assert self._open.wait(WAIT_SECONDS)
        return state

    def open(self) -> None:
        self._open.set()
        self._thread.join(WAIT_SECONDS)


def append(store: Store, *event_ids: str) -> Ticket:
    return store.writer.append(
        packed(events(*event_ids)),
        event_count=len(event_ids),
        receive_time_us=NOW_US,
        oldest_event_time_us=NOW_US,
    )


def stored_ids(store: Store) -> list[str]:
    reader = OutboxReader(store.path)
    page = reader.page(first_seq=1, event_count_max=10**6, bytes_max=10**9)
    reader.close()
    return [event_id for block in page for event_id in ids_of(block.events)]


def test_what_waits_while_a_commit_runs_is_committed_together(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        gate = Gate(store)
        tickets = [append(store, f"event-{number}") for number in range(50)]
        gate.open()
        for ticket in tickets:
            ticket.wait(WAIT_SECONDS)
        assert store.appended_count == 1
        assert stored_ids(store) == [f"event-{number}" for number in range(50)]


def test_the_border_holds_what_was_accepted_beside_the_positions_of_the_same_commit(
    tmp_path: Path,
) -> None:
    with Store(tmp_path) as store:
        store.record(numbered(0, 7))
        assert store.writer.border.accepted_count == 7
        assert store.writer.border.positions.next_seq == 8
        assert sum(store.writer.commit_times.view().bucket_counts) == 1
        assert store.writer.is_alive
        assert store.writer.last_error is None
    with Store(tmp_path) as again:
        assert again.writer.border.accepted_count == 0
        assert again.writer.border.positions.next_seq == 8


def test_a_commit_takes_no_more_events_than_its_bound(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        gate = Gate(store)
        batch = packed(numbered(0, 2_000))
        tickets = [
            store.writer.append(
                batch, event_count=2_000, receive_time_us=NOW_US, oldest_event_time_us=NOW_US
            )
            for _ in range(5)
        ]
        gate.open()
        for ticket in tickets:
            ticket.wait(WAIT_SECONDS)
        # 2,000 + 2,000, then as many, then 2,000: the third would pass 5,000.
        assert COMMIT_EVENT_COUNT_MAX == 5_000
        assert store.appended_count == 3
        assert store.writer.state.positions.next_seq == 10_001


def test_what_is_queued_at_a_stop_is_committed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    tickets = [append(store, f"event-{number}") for number in range(20)]
    store.writer.stop()
    for ticket in tickets:
        ticket.wait(0.0)
    assert not store.path.with_name("agent.db-wal").exists()
    assert len(stored_ids(store)) == 20
    with pytest.raises(UnavailableError) as caught:
        append(store, "late")
    assert caught.value.reason == "SHUTTING_DOWN"
    with pytest.raises(UnavailableError):
        store.writer.change(lambda state: state)
    store.writer.stop()


def test_a_restart_goes_on_where_the_last_commit_ended(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.record(events("a", "b"))
        store.writer.change(lambda state: replace(state, applied_seq=1, agent_id="x"))
    with Store(tmp_path) as store:
        positions = store.writer.state.positions
        assert (positions.next_seq, positions.applied_seq, positions.agent_id) == (3, 1, "x")
        store.record(events("c"))
        assert stored_ids(store) == ["a", "b", "c"]


def test_the_budget_refuses_what_would_pass_it_and_takes_what_fits(tmp_path: Path) -> None:
    size = len(packed(events("a")))
    # 95 % of the budget: two events and a bit.
    with Store(tmp_path, budget_bytes=2 * size * 100 // 95 + 2) as store:
        gate = Gate(store)
        tickets = [append(store, name) for name in "abc"]
        gate.open()
        tickets[0].wait(WAIT_SECONDS)
        tickets[1].wait(WAIT_SECONDS)
        with pytest.raises(QuotaExceededError, match="--disk-budget-bytes") as caught:
            tickets[2].wait(WAIT_SECONDS)
        assert caught.value.reason == "BUFFER_FULL"
        assert caught.value.retry_after_seconds == 5.0
        # Once the rows are applied there is room again, without a restart.
        store.writer.change(lambda state: replace(state, applied_seq=2, safe_seq=2))
        store.record(events("d"))
        assert stored_ids(store) == ["d"]


def test_a_disk_that_cannot_keep_up_refuses_instead_of_filling_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUEUE_BYTES_MAX", len(packed(events("a"))))
    with Store(tmp_path) as store:
        gate = Gate(store)
        first = append(store, "a")
        with pytest.raises(UnavailableError) as caught:
            append(store, "b")
        assert caught.value.reason == "QUEUE_FULL"
        gate.open()
        first.wait(WAIT_SECONDS)
        append(store, "c").wait(WAIT_SECONDS)
        assert stored_ids(store) == ["a", "c"]


def test_a_full_disk_is_told_to_every_caller_and_the_agent_goes_on(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.record(events("a"))
        connection = store.outbox._connection

        def fill(state: Positions) -> Positions:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}")
            return state

        def free(state: Positions) -> Positions:
            connection.execute("PRAGMA max_page_count = 100000")
            return state

        store.writer.change(fill)
        with pytest.raises(UnavailableError) as caught:
            store.record(numbered(0, 2_000))
        assert caught.value.reason == "DISK_FULL"
        assert caught.value.retry_after_seconds == 2.0
        store.writer.change(free)
        store.record(events("b"))
        assert stored_ids(store) == ["a", "b"]


def test_a_change_that_fails_lets_all_callers_of_its_commit_go(tmp_path: Path) -> None:
    with Store(tmp_path) as store:

        def fail(state: Positions) -> Positions:
            raise RuntimeError("a bug")

        with pytest.raises(InvariantError) as caught:
            store.writer.change(fail)
        assert caught.value.reason == "COMMIT_FAILED"
        store.record(events("a"))
        assert stored_ids(store) == ["a"]


def test_an_error_of_the_disk_is_unavailable_and_the_connection_is_made_anew(
    tmp_path: Path,
) -> None:
    with Store(tmp_path) as store:
        old_connection = store.outbox._connection

        def fail(state: Positions) -> Positions:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error

        with pytest.raises(UnavailableError) as caught:
            store.writer.change(fail)
        assert caught.value.reason == "DATABASE_UNAVAILABLE"
        store.record(events("a"))
        assert store.outbox._connection is not old_connection
        assert stored_ids(store) == ["a"]


def test_an_idle_writer_cuts_the_log_and_finishes_the_clean_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.01)
    with Store(tmp_path) as store:
        store.record(events("a"))
        cut = threading.Event()
        monkeypatch.setattr(store.outbox, "checkpoint_and_cut", cut.set)
        store.record(events("b"))
        assert cut.wait(WAIT_SECONDS)
        monkeypatch.undo()


def test_whatever_fails_beside_a_commit_the_thread_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path) as store:
        failed = threading.Event()

        def fail() -> None:
            failed.set()
            raise RuntimeError("a bug")

        monkeypatch.setattr(store.writer, "_on_append", fail)
        store.record(events("a"))
        assert failed.wait(WAIT_SECONDS)
        store.record(events("b"))
        assert stored_ids(store) == ["a", "b"]


def test_what_is_on_its_way_to_the_disk_counts_for_the_oldest_event_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path) as store:
        assert store.writer.oldest_queued_event_time_us() is None
        committing, go_on = threading.Event(), threading.Event()
        commit = store.outbox.commit

        def slow_commit(*arguments: object, **fields: object) -> object:
            committing.set()
            assert go_on.wait(30)
            return commit(*arguments, **fields)  # type: ignore[arg-type]

        monkeypatch.setattr(store.outbox, "commit", slow_commit)
        tickets = [
            store.writer.append(
                b"", event_count=1, receive_time_us=9, oldest_event_time_us=oldest_us
            )
            for oldest_us in (7, 5)
        ]
        assert committing.wait(30)
        assert store.writer.oldest_queued_event_time_us() == 5
        go_on.set()
        for ticket in tickets:
            ticket.wait(30)
        assert store.writer.oldest_queued_event_time_us() is None
