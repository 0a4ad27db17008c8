"""What lies on this machine: each mistake is made for real and found by its reason."""

import sqlite3
from pathlib import Path

import pytest

from meter_agent.doctor import disk
from meter_agent.doctor.finding import Finding
from metering.errors import ValidationError
from tests.meter_agent.support import Store, numbered


def reasons(findings: list[Finding]) -> list[str]:
    assert all(item.remedy for item in findings if item.reason)
    return [item.reason for item in findings]


def test_a_good_directory_and_one_to_be_made_are_fine(tmp_path: Path) -> None:
    assert reasons(disk.check_directory(tmp_path)) == [""]
    assert reasons(disk.check_directory(tmp_path / "new" / "one")) == [""]
    assert reasons(disk.check_free_space(tmp_path / "new", budget_bytes=1)) == [""]
    assert reasons(disk.check_database(tmp_path / "new")) == [""]


def test_a_directory_that_may_not_be_written_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk.os, "access", lambda *_: False)
    assert reasons(disk.check_directory(tmp_path)) == ["DATA_DIR_NOT_WRITABLE"]
    assert reasons(disk.check_directory(tmp_path / "new")) == ["DATA_DIR_NOT_WRITABLE"]


def test_a_network_file_system_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise ValidationError(reason="DATA_DIR_ON_NETWORK", message=f"{path} lies on nfs4")

    monkeypatch.setattr(disk, "refuse_network_file_system", refuse)
    assert reasons(disk.check_directory(tmp_path)) == ["DATA_DIR_ON_NETWORK"]


@pytest.mark.parametrize(
    ("free", "budget", "reason"),
    [
        (16 * 2**20 - 1, 1, "DISK_FULL"),
        (100 * 2**20, 2**30, "DISK_NEARLY_FULL"),
        (2 * 2**30, 2**30, ""),
    ],
)
def test_the_room_is_judged_by_what_the_budget_may_need(
    free: int, budget: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": free})()
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage)
    assert reasons(disk.check_free_space(tmp_path, budget_bytes=budget)) == [reason]


def test_a_whole_database_is_read_while_its_agent_runs(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.record(numbered(0, 7))
        [found] = disk.check_database(tmp_path)
    assert "keeps 7 events" in found.message
    assert found.reason == ""


def test_a_damaged_database_is_found(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.record(numbered(0, 2_000))
    path = tmp_path / "agent.db"
    raw = bytearray(path.read_bytes())
    raw[4096 : 4096 * 8] = b"\x99" * (4096 * 7)
    path.write_bytes(raw)
    assert reasons(disk.check_database(tmp_path)) == ["DATABASE_DAMAGED"]
    path.write_bytes(b"no database at all" * 500)
    assert reasons(disk.check_database(tmp_path)) == ["DATABASE_DAMAGED"]


def test_a_newer_database_is_found(tmp_path: Path) -> None:
    with Store(tmp_path):
        pass
    connection = sqlite3.connect(tmp_path / "agent.db")
    connection.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
        "VALUES ('meter_agent', '9999_later', '2030-01-01')"
    )
    connection.commit()
    connection.close()
    [found] = disk.check_database(tmp_path)
    assert (found.reason, "9999_later" in found.message) == ("DATABASE_NEWER", True)


def test_an_old_sqlite_is_a_warning_up_to_the_version_that_is_cured() -> None:
    assert reasons(disk.check_sqlite((3, 40, 1))) == ["SQLITE_OLD"]
    assert reasons(disk.check_sqlite((3, 51, 2))) == ["SQLITE_OLD"]
    assert reasons(disk.check_sqlite((3, 51, 3))) == [""]
