"""Leases and reservations of a damaged database: all of them, or none under this identity."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from meter_agent.core.quota.lease import Lease
from meter_agent.store import quota_rows as rows
from meter_agent.store import repair
from meter_agent.store.database import load_positions, open_writer
from meter_agent.store.quota_salvage import copy_quota

LEASE = Lease(lease_id=b"a" * 16, customer_id="acme", limit_key="daily", granted=10, consumed=4)
NOW = datetime(2026, 3, 10, tzinfo=UTC)


def made(path: Path) -> bytes:
    """Makes a database with a lease; returns its disk id."""
    connection = open_writer(path)
    rows.write_leases(connection, [(LEASE, 7)])
    rows.write_terms(connection, [("acme", 1, b"terms")])
    disk_id = load_positions(connection).disk_id
    connection.close()
    return disk_id


def test_what_can_be_read_is_copied_whole(tmp_path: Path) -> None:
    made(tmp_path / "old.db")
    target = open_writer(tmp_path / "new.db")
    assert copy_quota(target, tmp_path / "old.db")
    assert rows.load_leases(target) == [(LEASE, 7)]
    assert rows.load_terms(target) == [("acme", 1, b"terms")]
    target.close()


def test_a_database_of_a_version_without_quota_has_nothing_to_copy(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "old.db")
    old.execute("CREATE TABLE block (first_seq INTEGER)")
    old.close()
    target = open_writer(tmp_path / "new.db")
    assert copy_quota(target, tmp_path / "old.db")
    assert rows.load_leases(target) == []
    target.close()


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "old.db").write_bytes(b"no database" * 1_000)
    target = open_writer(tmp_path / "new.db")
    assert not copy_quota(target, tmp_path / "old.db")
    target.close()


def test_a_repair_keeps_leases_and_identity(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    disk_id = made(path)
    repair.repair_database(path, cause="told to", now=NOW)
    connection = open_writer(path)
    assert rows.load_leases(connection) == [(LEASE, 7)]
    assert load_positions(connection).disk_id == disk_id
    connection.close()


def test_a_repair_that_lost_leases_goes_on_under_another_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agent.db"
    disk_id = made(path)
    monkeypatch.setattr(repair, "copy_quota", lambda *_: False)
    repair.repair_database(path, cause="told to", now=NOW)
    connection = open_writer(path)
    positions = load_positions(connection)
    connection.close()
    assert positions.disk_id != disk_id
    assert positions.previous_disk_id == disk_id
    assert (positions.sync_no, positions.nonce) == (0, b"")
