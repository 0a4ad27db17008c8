"""A log with a bad byte: what SQLite passes over is counted."""

import shutil
from pathlib import Path

import pytest

from meter_agent.store.log_damage import passed_over_commit_count
from meter_agent.store.repair import damage_reports
from meter_agent.store.repairer import open_outbox
from tests.meter_agent.support import NOW, Store, event

HEADER_BYTES = 32
FRAME_BYTES = 24 + 4096


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The database of an agent that was killed: five commits, all of them in the log."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.mkdir()
    copy.mkdir()
    with Store(source) as store:
        store.outbox.checkpoint_and_cut()
        for number in range(5):
            store.record([event(f"event-{number}")])
        for name in ("agent.db", "agent.db-wal"):
            shutil.copy(source / name, copy / name)
    return copy / "agent.db"


def frames(path: Path) -> int:
    return (path.with_name("agent.db-wal").stat().st_size - HEADER_BYTES) // FRAME_BYTES


def flip(path: Path, *, frame: int) -> None:
    """Spoils a byte in the middle of a frame, counted from 0."""
    with path.with_name("agent.db-wal").open("r+b") as log:
        place = HEADER_BYTES + frame * FRAME_BYTES + 2_000
        log.seek(place)
        [byte] = log.read(1)
        log.seek(place)
        log.write(bytes([byte ^ 0xFF]))


def test_a_whole_log_has_nothing_behind_it(killed: Path) -> None:
    assert frames(killed) >= 5
    assert passed_over_commit_count(killed) == 0
    assert passed_over_commit_count(killed.with_name("none.db")) == 0


def test_the_commits_behind_a_bad_frame_are_counted(killed: Path) -> None:
    flip(killed, frame=0)
    assert passed_over_commit_count(killed) == 5


def test_a_log_that_a_power_loss_cut_short_is_no_damage(killed: Path) -> None:
    with killed.with_name("agent.db-wal").open("r+b") as log:
        log.truncate(HEADER_BYTES + frames(killed) * FRAME_BYTES - 100)
    # Its last frame is not whole, and only this commit is missing: nobody was answered.
    assert passed_over_commit_count(killed) == 1
    outbox = open_outbox(killed, now=lambda: NOW)
    assert outbox.state.positions.next_seq == 5
    outbox.close()
    assert damage_reports(killed) == []


def test_the_frames_of_an_earlier_round_are_no_commits_of_this_one(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for number in range(5):
            store.record([event(f"event-{number}")])
        store.outbox.checkpoint()
        store.record([event("begins the log anew")])
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in ("agent.db", "agent.db-wal"):
            shutil.copy(tmp_path / name, copy / name)
    assert frames(copy / "agent.db") > 3
    assert passed_over_commit_count(copy / "agent.db") == 0


def test_a_start_tells_what_is_missing_and_keeps_the_log(killed: Path) -> None:
    flip(killed, frame=0)
    outbox = open_outbox(killed, now=lambda: NOW)
    assert outbox.state.positions.next_seq == 1
    outbox.close()
    [report] = damage_reports(killed)
    assert report.cause == "the log is damaged: 5 commits in it cannot be read, nor counted as lost"
    assert Path(f"{report.moved_to}-wal").stat().st_size > 5 * FRAME_BYTES
    open_outbox(killed, now=lambda: NOW).close()
    assert damage_reports(killed) == [report]
