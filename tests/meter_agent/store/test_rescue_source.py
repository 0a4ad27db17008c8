"""A dead agent's buffer where nothing can be written: read whole, its log included, or refused."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meter_agent.store.data_dir import LOCK_NAME, DataDirectory
from meter_agent.store.rescue import RescueMode, RescueSummary, export_buffer
from metering.errors import MeteringError
from tests.meter_agent.support import NOW, Store, events


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """Directory of an agent that was killed: a-0 lies in the database, a-1 and a-2 in the log."""
    running, directory = tmp_path / "running", tmp_path / "killed"
    running.mkdir()
    with Store(running) as store:
        store.record(events("a-0"))
        store.outbox.checkpoint_and_cut()
        store.record(events("a-1"))
        store.record(events("a-2"))
        shutil.copytree(running, directory)
    # What a host that lost power leaves of the log's index is worth nothing.
    (directory / "agent.db-shm").write_bytes(os.urandom(32_768))
    (directory / LOCK_NAME).write_text("4711\n")
    return directory


@contextmanager
def mounted(path: Path, *options: str) -> Iterator[None]:
    done = subprocess.run(["mount", *options, str(path)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("no file system may be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def read_only(killed: Path, tmp_path: Path) -> Iterator[Path]:
    """The same directory, mounted read-only."""
    path = tmp_path / "read-only"
    path.mkdir()
    with mounted(path, "--bind", "-o", "ro", str(killed)):
        yield path


def export(directory: Path, file: Path, mode: RescueMode = RescueMode.WHOLE) -> RescueSummary:
    return export_buffer(directory, file=file, mode=mode, now=NOW, agent_version="0.1.0")


def refused(reason: str, directory: Path, file: Path) -> str:
    with pytest.raises(MeteringError) as caught:
        export(directory, file)
    assert caught.value.reason == reason
    return caught.value.message


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_from_a_read_only_disk_what_lies_in_the_log_is_taken_too(
    killed: Path, read_only: Path, tmp_path: Path
) -> None:
    before = content(killed)
    (tmp_path / "out").mkdir()
    assert export(read_only, tmp_path / "out" / "x.usage").event_count == 3
    assert content(killed) == before
    assert os.listdir(tmp_path / "out") == ["x.usage"]


def test_a_read_only_directory_without_a_lock_is_read(
    killed: Path, read_only: Path, tmp_path: Path
) -> None:
    (killed / LOCK_NAME).unlink()
    assert export(read_only, tmp_path / "x.usage").event_count == 3
    assert not (killed / LOCK_NAME).exists()


def test_an_agent_that_runs_on_the_directory_is_seen_from_a_read_only_mount(
    killed: Path, read_only: Path, tmp_path: Path
) -> None:
    with DataDirectory(killed):
        assert str(read_only) in refused("AGENT_ALREADY_RUNNING", read_only, tmp_path / "x.usage")
    assert export(read_only, tmp_path / "x.usage").event_count == 3


def test_a_damaged_log_on_a_read_only_disk_is_refused_or_told(
    killed: Path, read_only: Path, tmp_path: Path
) -> None:
    with (killed / "agent.db-wal").open("r+b") as log:
        log.seek(1_000)  # In the first page of the first commit.
        log.write(b"\xff" * 4)
    file = tmp_path / "x.usage"
    refused("DATABASE_DAMAGED", read_only, file)
    assert not file.exists()
    summary = export(read_only, file, RescueMode.SALVAGE)
    assert (summary.event_count, summary.unreadable_commit_count) == (1, 2)


def test_a_repair_that_was_interrupted_is_ended_in_the_copy(
    killed: Path, read_only: Path, tmp_path: Path
) -> None:
    with Store(killed):  # Empties the log.
        pass
    (killed / "agent.db").rename(killed / "agent.db.salvaged-20260310T120000.000000Z")
    before = content(killed)
    assert export(read_only, tmp_path / "x.usage").event_count == 3
    assert content(killed) == before


def test_from_a_full_disk_the_buffer_is_exported_to_another(killed: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    with mounted(full, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        for name in ("agent.db", "agent.db-wal"):
            shutil.copyfile(killed / name, full / name)
        free = os.statvfs(full).f_bavail * os.statvfs(full).f_frsize
        (full / "filler").write_bytes(b"x" * free)
        assert export(full, tmp_path / "x.usage").event_count == 3


def test_where_there_is_no_room_for_the_copy_it_says_so(read_only: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    with mounted(small, "-t", "tmpfs", "-o", "size=16k", "tmpfs"):
        assert "room for the buffer and its log" in refused(
            "BUFFER_NOT_COPIED", read_only, small / "x.usage"
        )
        assert os.listdir(small) == []
