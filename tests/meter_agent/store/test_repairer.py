"""Opening the buffer whatever state it is in, and repairing it while it is used."""

import sqlite3
import threading
from pathlib import Path

import pytest

from meter_agent.core.disk_budget import DiskBudget
from meter_agent.store import repairer as module
from meter_agent.store.admission import AdmissionControl
from meter_agent.store.ballast import Ballast
from meter_agent.store.reader import OutboxReader
from meter_agent.store.repair import damage_reports
from meter_agent.store.repairer import (
    REPAIR_COUNT_MAX,
    IntegrityCheck,
    Repairer,
    ended_uncleanly,
    open_outbox,
)
from meter_agent.store.writer import Writer
from metering.errors import InvalidStateError, MeteringError
from tests.meter_agent.support import (
    NOW,
    NOW_US,
    WAIT_SECONDS,
    Store,
    events,
    ids_of,
    packed,
    wait_until,
)


class Buffer:
    """A writer that repairs, and its reader."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "agent.db"
        outbox = open_outbox(self.path, now=lambda: NOW)
        self.readers: list[OutboxReader] = []
        self.appended = threading.Event()
        self.writer = Writer(
            outbox,
            admission=AdmissionControl(
                budget=DiskBudget(1 << 30), ballast=Ballast(directory, size_bytes=0)
            ),
            on_append=self.appended.set,
            repairer=Repairer(self.path, readers=self.readers, now=lambda: NOW),
        )
        self.readers.append(OutboxReader(self.path, on_damage=self.writer.report_damage))
        self.writer.start()

    def record(self, *names: str) -> None:
        self.writer.append(
            packed(events(*names)),
            event_count=len(names),
            receive_time_us=NOW_US,
            oldest_event_time_us=NOW_US,
        ).wait(WAIT_SECONDS)

    def read(self) -> list[str]:
        page = self.readers[0].page(first_seq=1, event_count_max=100, bytes_max=1 << 20)
        return [name for block in page for name in ids_of(block.events)]

    def spoil(self, name: str) -> None:
        """Changes an event behind the agent's back, so that its block fails its checksum."""
        with sqlite3.connect(self.path) as connection:
            connection.execute(
                "UPDATE block SET events = CAST(replace(CAST(events AS TEXT), ?, ?) AS BLOB)",
                (name, name.upper()),
            )
        connection.close()

    def stop(self) -> None:
        for reader in self.readers:
            reader.close()
        self.writer.stop()


def test_damage_that_is_met_while_reading_is_repaired_and_recording_goes_on(
    tmp_path: Path,
) -> None:
    buffer = Buffer(tmp_path)
    for name in ("one", "two", "three"):
        buffer.record(name)
    buffer.spoil("two")
    with pytest.raises(InvalidStateError, match="checksum"):
        buffer.read()
    wait_until(lambda: bool(damage_reports(buffer.path)))
    buffer.record("four")
    assert buffer.read() == ["one", "three", "four"]
    positions = buffer.writer.state.positions
    assert (positions.session_no, positions.buffered_count, positions.next_seq) == (0, 3, 5)
    # A caller that waited for the server would see all three still to be applied.
    assert buffer.writer.applied.total == 0
    [report] = damage_reports(buffer.path)
    assert (report.salvaged_event_count, report.lost_event_count) == (2, 1)
    # The conservation line holds: 4 accepted = 1 damaged + 3 waiting.
    assert (buffer.writer.border.accepted_count, buffer.writer.border.damaged_count) == (4, 1)
    buffer.stop()


def test_a_disk_that_damages_each_new_database_is_not_repaired_for_ever(tmp_path: Path) -> None:
    buffer = Buffer(tmp_path)
    for turn in range(REPAIR_COUNT_MAX + 2):
        buffer.record(f"kept-{turn}")
        buffer.writer.report_damage(f"turn {turn}")
        buffer.writer.change(lambda state: state)  # Behind the repair in the queue.
    assert len(damage_reports(buffer.path)) <= REPAIR_COUNT_MAX
    assert len(buffer.read()) == REPAIR_COUNT_MAX + 2
    buffer.stop()


def test_a_file_that_is_no_database_is_put_aside_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    path.write_bytes(b"no database at all" * 1_000)
    outbox = open_outbox(path, now=lambda: NOW)
    assert outbox.state.positions.next_seq == 1
    outbox.close()
    [report] = damage_reports(path)
    assert Path(report.moved_to).read_bytes().startswith(b"no database")


def test_a_database_of_a_newer_program_is_not_touched(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.record(events("a"))
    with sqlite3.connect(store.path) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('meter_agent', '0999_later', '2030-01-01')"
        )
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(InvalidStateError) as caught:
        open_outbox(store.path, now=lambda: NOW)
    assert caught.value.reason == "DATABASE_NEWER"
    assert damage_reports(store.path) == []


def test_an_unclean_end_is_known_by_the_log_that_is_left(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.record(events("a"))
    assert ended_uncleanly(store.path)
    store.writer.stop()
    assert not ended_uncleanly(store.path)


def test_the_check_in_the_background_tells_of_a_damaged_structure(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for number in range(50):
            store.record(events(f"event-{number}"), receive_time_us=NOW_US + number * 1_000_000)
    found: list[str] = []
    check(store.path, found)
    assert found == []
    raw = bytearray(store.path.read_bytes())
    page = raw.index(b"event-20") // 4096 * 4096
    raw[page + 3 : page + 5] = b"\xff\xff"  # The number of cells on the page.
    store.path.write_bytes(raw)
    check(store.path, found)
    assert len(found) == 1


def check(path: Path, found: list[str]) -> None:
    reader = OutboxReader(path)
    running = IntegrityCheck(reader, on_damage=found.append)
    running.start()
    running.join(WAIT_SECONDS)
    reader.close()


def test_a_repair_that_fails_leaves_the_agent_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MeteringError(reason="DISK_FULL", message="full")

    buffer = Buffer(tmp_path)
    buffer.record("one")
    monkeypatch.setattr(module, "repair_database", full)
    buffer.writer.report_damage("a test")
    buffer.record("two")
    assert buffer.read() == ["one", "two"]
    buffer.stop()


def test_a_stop_does_not_wait_for_a_long_check(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.record(events("a"))
        reader = OutboxReader(store.path)
        begun = threading.Event()
        # A check without end: each step tells that it runs, and goes on.
        reader._connection.set_progress_handler(begun.set, 1)

        class Endless(IntegrityCheck):
            def _run(self) -> None:
                with reader._lock, pytest.raises(sqlite3.OperationalError, match="interrupted"):
                    reader._connection.execute(
                        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                        "SELECT max(i) FROM n"
                    ).fetchall()

        check = Endless(reader, on_damage=lambda _: None)
        check.start()
        assert begun.wait(WAIT_SECONDS)
        reader.close()
        check.join(WAIT_SECONDS)
        reader.close()
