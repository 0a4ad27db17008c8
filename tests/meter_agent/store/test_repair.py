"""A new database in the place of a damaged one: complete, counted, and never half done."""

from dataclasses import replace
from pathlib import Path

import pytest

from billing_server.domain.session.opening import (
    Opening,
    OpeningAction,
    Stream,
    decide_opening,
)
from meter_agent.core.positions import Positions
from meter_agent.store import repair as module
from meter_agent.store.reader import OutboxReader
from meter_agent.store.repair import (
    damage_reports,
    damage_warnings,
    finish_repair,
    repair_database,
)
from metering.errors import UnavailableError
from tests.meter_agent.support import NOW, NOW_US, Store, event, ids_of


def written(directory: Path, *, applied_seq: int = 0, safe_seq: int = 0) -> Path:
    """Blocks of two events at positions 1-2, 3-4, 5-6, 7-8, 9-10."""
    with Store(directory) as store:
        for number in range(5):
            made = [event(f"event-{2 * number + index}") for index in (1, 2)]
            store.record(made, receive_time_us=NOW_US + number * 1_000_000)
        store.writer.change(
            lambda state: replace(
                state, agent_id="agent-1", applied_seq=applied_seq, safe_seq=safe_seq
            )
        )
    return store.path


def spoil(path: Path, event_id: str) -> None:
    """Changes an event on disk, so that its block fails its checksum."""
    raw = path.read_bytes()
    assert event_id.encode() in raw
    path.write_bytes(raw.replace(event_id.encode(), event_id.replace("event", "Event").encode()))


def opened(path: Path) -> tuple[Positions, list[tuple[int, list[str]]]]:
    with Store(path.parent) as store:
        positions = store.writer.state.positions
        reader = OutboxReader(path)
        page = reader.page(first_seq=1, event_count_max=100, bytes_max=1 << 20)
        reader.close()
        return positions, [(block.first_seq, ids_of(block.events)) for block in page]


def test_what_can_be_read_ends_where_the_damaged_one_ended(tmp_path: Path) -> None:
    path = written(tmp_path)
    spoil(path, "event-5")
    report = repair_database(path, cause="a test", now=NOW)
    assert (report.salvaged_event_count, report.lost_event_count) == (8, 2)
    positions, blocks = opened(path)
    # Ten positions were given, two are lost: eight end at position 10, so they begin at 3, and the
    # server is told that it will never see 1 and 2.
    assert [first_seq for first_seq, _ in blocks] == [3, 5, 7, 9]
    assert [names for _, names in blocks] == [
        ["event-1", "event-2"],
        ["event-3", "event-4"],
        ["event-7", "event-8"],
        ["event-9", "event-10"],
    ]
    assert (positions.earliest_kept_seq, positions.next_seq) == (3, 11)
    assert (positions.applied_seq, positions.safe_seq, positions.agent_id) == (2, 2, "agent-1")


def test_a_hole_is_a_loss_at_the_server_and_no_sign_that_the_server_went_back(
    tmp_path: Path,
) -> None:
    path = written(tmp_path)
    with Store(tmp_path) as store:
        store.writer.change(
            lambda state: replace(
                state, applied_seq=2, safe_seq=2, sync_no=1, server_incarnation="inc-1"
            )
        )
        disk_id = store.writer.state.positions.disk_id
    spoil(path, "event-5")
    repair_database(path, cause="a test", now=NOW)
    positions, _ = opened(path)
    decision = decide_opening(
        Opening(
            disk_id=positions.disk_id,
            nonce=b"n" * 16,
            sync_no=positions.sync_no + 1,
            applied_seq=positions.applied_seq,
            earliest_kept_seq=positions.earliest_kept_seq,
            incarnation=positions.server_incarnation,
            previous_disk_id=positions.previous_disk_id,
        ),
        incarnation="inc-1",
        stream=Stream(
            disk_id=disk_id, session_no=1, session_nonce=b"s" * 16, sync_no=1, applied_seq=2
        ),
        previous=None,
    )
    # Of 3 to 10 the events 5 and 6 are lost: the six that are left end at 10 and begin at 5.
    assert decision.action is OpeningAction.CONTINUE
    assert decision.lost == (3, 4)
    assert not decision.is_server_behind


def test_the_cause_is_told_in_one_line(tmp_path: Path) -> None:
    report = repair_database(written(tmp_path), cause="*** in main ***\nOn page 3:  bad", now=NOW)
    assert report.cause == "*** in main *** On page 3: bad"


def test_what_is_applied_and_safe_is_not_sent_again_and_the_rest_is(tmp_path: Path) -> None:
    path = written(tmp_path, applied_seq=8, safe_seq=4)
    report = repair_database(path, cause="a test", now=NOW)
    assert (report.salvaged_event_count, report.lost_event_count) == (6, 0)
    positions, blocks = opened(path)
    assert blocks[0] == (5, ["event-5", "event-6"])
    assert (positions.applied_seq, positions.buffered_count) == (4, 6)


def test_the_damaged_file_and_a_report_are_kept(tmp_path: Path) -> None:
    path = written(tmp_path)
    spoil(path, "event-10")  # Of the last block: its end is known all the same.
    before = path.read_bytes()
    report = repair_database(path, cause="a test", now=NOW)
    assert Path(report.moved_to).name == "agent.db.damaged-20260310T120000.000000Z"
    assert Path(report.moved_to).read_bytes() == before
    assert damage_reports(path) == [report]
    [warning] = damage_warnings([report])
    assert warning.startswith("DATABASE_DAMAGED: found at 2026-03-10T12:00:00Z (a test); 8 events")
    assert "2 could not be read" in warning
    assert report.moved_to in warning
    Path(f"{report.moved_to}.json").write_text("{")
    assert damage_reports(path) == []


@pytest.mark.parametrize("step", range(4))
def test_a_repair_cut_short_at_any_step_is_ended_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    path = written(tmp_path)
    path.with_name("agent.db-wal").write_bytes(b"")
    spoil(path, "event-5")

    class Killed(BaseException):
        pass

    renames = [0]
    rename = Path.rename

    def rename_or_die(self: Path, target: Path) -> Path:
        if renames[0] == step:
            raise Killed
        renames[0] += 1
        return rename(self, target)

    # The renames: the new one complete; the log aside; the database aside; the new one in place.
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename_or_die)
        with pytest.raises(Killed):
            repair_database(path, cause="a test", now=NOW)
    finish_repair(path)
    if step == 0:
        repair_database(path, cause="again", now=NOW)
    _, blocks = opened(path)
    assert len(blocks) == 4
    names = {item.name for item in tmp_path.iterdir()}
    assert not any("salvag" in name for name in names)
    assert any(name.startswith("agent.db.damaged-") for name in names)


def test_where_the_new_one_cannot_be_written_the_damaged_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path)
    spoil(path, "event-5")
    before = path.read_bytes()

    def full(_: Path) -> None:
        raise UnavailableError(reason="DISK_FULL", message="full")

    monkeypatch.setattr(module, "open_writer", full)
    with pytest.raises(UnavailableError):
        repair_database(path, cause="a test", now=NOW)
    assert path.read_bytes() == before
    assert damage_reports(path) == []


def test_a_state_that_cannot_be_read_makes_a_new_disk_and_keeps_the_events(tmp_path: Path) -> None:
    path = written(tmp_path, applied_seq=4, safe_seq=4)
    with Store(tmp_path) as store:
        disk_id = store.writer.state.positions.disk_id
        store.outbox._connection.execute("DELETE FROM agent_state")
    report = repair_database(path, cause="a test", now=NOW)
    assert report.is_state_lost
    positions, blocks = opened(path)
    assert positions.disk_id != disk_id
    assert positions.agent_id == ""
    # Rows 1-4 were deleted once they were applied; what is left is sent, and none is missing.
    assert [first_seq for first_seq, _ in blocks] == [5, 7, 9]
    assert report.lost_event_count == 0
