"""The buffer of a dead host, carried to another: all of it once, or nothing."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from meter_agent.core.disk_budget import DiskBudget
from meter_agent.store import rescue as module
from meter_agent.store.data_dir import DataDirectory
from meter_agent.store.reader import OutboxReader
from meter_agent.store.rescue import RescueMode, RescueSummary, export_buffer, import_file
from metering.errors import MeteringError
from tests.meter_agent.support import NOW, NOW_US, Store, events, ids_of

BUDGET = DiskBudget(1 << 30)


@pytest.fixture
def dead(tmp_path: Path) -> Path:
    """Directory of an agent that died with a-0 to c-1; a-0 and a-1 are applied."""
    directory = tmp_path / "dead"
    directory.mkdir()
    with Store(directory) as store:
        for number, name in enumerate("abc"):
            receive_time_us = NOW_US + number * 1_000_000
            store.record(events(f"{name}-0", f"{name}-1"), receive_time_us=receive_time_us)
        store.writer.change(
            lambda state: replace(state, agent_id="agent-1", applied_seq=2, safe_seq=2)
        )
    return directory


def export(directory: Path, file: Path, mode: RescueMode = RescueMode.WHOLE) -> RescueSummary:
    return export_buffer(directory, file=file, mode=mode, now=NOW, agent_version="0.1.0")


def import_(
    directory: Path,
    file: Path,
    mode: RescueMode = RescueMode.WHOLE,
    budget: DiskBudget = BUDGET,
) -> RescueSummary:
    return import_file(directory, file=file, mode=mode, budget=budget, now=NOW)


def held(directory: Path) -> list[tuple[int, int, list[str]]]:
    """Returns position, receive time and ids of each block."""
    reader = OutboxReader(directory / "agent.db")
    page = reader.page(first_seq=1, event_count_max=10**6, bytes_max=10**9)
    reader.close()
    return [(block.first_seq, block.receive_time_us, ids_of(block.events)) for block in page]


def test_what_the_server_may_not_have_arrives_under_positions_of_the_other(
    dead: Path, tmp_path: Path
) -> None:
    file = tmp_path / "dead.usage"
    before = (dead / "agent.db").read_bytes()
    summary = export(dead, file)
    assert (summary.block_count, summary.event_count, summary.lost_event_count) == (2, 4, 0)
    assert (summary.header.agent_id, summary.header.export_time) == (
        "agent-1",
        "2026-03-10T12:00:00Z",
    )
    assert file.stat().st_mode & 0o777 == 0o600
    assert (dead / "agent.db").read_bytes() == before
    alive = tmp_path / "alive"
    alive.mkdir()
    with Store(alive) as store:
        store.record(events("own"))
    assert import_(alive, file).event_count == 4
    # The receive times are those of the dead host: they are the event times where none is set.
    assert held(alive) == [
        (1, NOW_US, ["own"]),
        (2, NOW_US + 1_000_000, ["b-0", "b-1"]),
        (4, NOW_US + 2_000_000, ["c-0", "c-1"]),
    ]
    with Store(alive) as store:
        assert store.writer.state.positions.buffered_count == 5


def test_rows_that_are_applied_and_not_safe_are_carried_too(dead: Path, tmp_path: Path) -> None:
    with Store(dead) as store:
        store.writer.change(lambda state: replace(state, applied_seq=6, safe_seq=2))
    assert export(dead, tmp_path / "x.usage").event_count == 4


def test_an_empty_buffer_makes_an_empty_file(tmp_path: Path) -> None:
    with Store(tmp_path):
        pass
    assert export(tmp_path, tmp_path / "x.usage").event_count == 0
    assert import_(tmp_path / "new", tmp_path / "x.usage").event_count == 0


def refused(reason: str, call: object, *arguments: object) -> MeteringError:
    with pytest.raises(MeteringError) as caught:
        call(*arguments)  # type: ignore[operator]
    assert caught.value.reason == reason
    return caught.value


def test_a_log_with_a_bad_place_is_refused_or_told(tmp_path: Path) -> None:
    killed, running = tmp_path / "killed", tmp_path / "running"
    running.mkdir()
    with Store(running) as store:
        store.outbox.checkpoint_and_cut()
        for number in range(3):
            store.record(events(f"a-{number}"))
        shutil.copytree(running, killed)
    with (killed / "agent.db-wal").open("r+b") as log:
        log.seek(1_000)  # In the first page of the first commit.
        log.write(b"\xff" * 4)
    file = tmp_path / "x.usage"
    refused("DATABASE_DAMAGED", export, killed, file)
    assert not file.exists()
    summary = export(killed, file, RescueMode.SALVAGE)
    assert (summary.event_count, summary.unreadable_commit_count) == (0, 3)


def test_a_running_agent_is_not_exported_from_nor_imported_to(dead: Path, tmp_path: Path) -> None:
    export(dead, tmp_path / "x.usage")
    with DataDirectory(dead):
        error = refused("AGENT_ALREADY_RUNNING", export, dead, tmp_path / "y.usage")
        assert str(os.getpid()) in error.message
        refused("AGENT_ALREADY_RUNNING", import_, dead, tmp_path / "x.usage")
    assert not (tmp_path / "y.usage").exists()


def test_wrong_paths_are_named(dead: Path, tmp_path: Path) -> None:
    error = refused("BUFFER_MISSING", export, tmp_path / "none", tmp_path / "x")
    assert "--data-dir" in error.message
    assert not (tmp_path / "none").exists()
    (tmp_path / "there").write_text("precious")
    refused("EXPORT_FILE_EXISTS", export, dead, tmp_path / "there")
    assert (tmp_path / "there").read_text() == "precious"
    refused("EXPORT_FILE_NOT_WRITABLE", export, dead, tmp_path / "no" / "such" / "x")
    refused("EXPORT_FILE_NOT_READABLE", import_, dead, tmp_path / "none")
    refused("EXPORT_FILE_NOT_READABLE", import_, dead, tmp_path)


def test_a_damaged_file_imports_nothing_and_with_salvage_the_rest(
    dead: Path, tmp_path: Path
) -> None:
    file = tmp_path / "x.usage"
    export(dead, file)
    file.write_bytes(file.read_bytes().replace(b"c-1", b"c-9"))
    alive = tmp_path / "alive"
    error = refused("EXPORT_FILE_DAMAGED", import_, alive, file)
    assert "--salvage" in error.message
    assert not alive.exists()
    summary = import_(alive, file, RescueMode.SALVAGE)
    assert (summary.event_count, summary.unreadable_bytes > 0) == (2, True)
    assert [names for _, _, names in held(alive)] == [["b-0", "b-1"]]


def test_a_damaged_buffer_is_exported_with_salvage_only(dead: Path, tmp_path: Path) -> None:
    database = dead / "agent.db"
    database.write_bytes(database.read_bytes().replace(b"b-1", b"b-9"))
    file = tmp_path / "x.usage"
    refused("DATABASE_DAMAGED", export, dead, file)
    assert not file.exists()
    summary = export(dead, file, RescueMode.SALVAGE)
    assert (summary.event_count, summary.lost_event_count) == (2, 2)
    assert import_(tmp_path / "alive", file).event_count == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alive", "dead", "x.usage"]


def test_a_file_that_passes_the_budget_is_refused_whole(dead: Path, tmp_path: Path) -> None:
    export(dead, tmp_path / "x.usage")
    alive = tmp_path / "alive"
    error = refused(
        "IMPORT_EXCEEDS_BUDGET",
        import_,
        alive,
        tmp_path / "x.usage",
        RescueMode.WHOLE,
        DiskBudget(100),
    )
    assert "--disk-budget-bytes" in error.message
    assert held(alive) == []


def test_an_import_that_ends_half_way_leaves_nothing(
    dead: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(dead, tmp_path / "x.usage")
    alive = tmp_path / "alive"
    appended: list[int] = []
    build = module._append

    class Killed(BaseException):
        pass

    def append_once(block: object) -> object:
        if appended:
            raise Killed
        appended.append(1)
        return build(block)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(module, "_append", append_once)
        with pytest.raises(Killed):
            import_(alive, tmp_path / "x.usage")
    assert held(alive) == []
    assert import_(alive, tmp_path / "x.usage").event_count == 4
