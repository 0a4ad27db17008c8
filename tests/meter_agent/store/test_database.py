"""Connections: durable settings, read-only readers, errors that say what to do."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from meter_agent.store import database
from metering.errors import InvalidStateError, UnavailableError


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_the_writer_is_durable_and_never_checkpoints_by_itself(tmp_path: Path) -> None:
    connection = database.open_writer(tmp_path / "agent.db")
    assert pragma(connection, "journal_mode") == "wal"
    assert pragma(connection, "synchronous") == 2  # FULL
    assert pragma(connection, "wal_autocheckpoint") == 0
    assert pragma(connection, "page_size") == database.PAGE_BYTES
    assert (tmp_path / "agent.db").stat().st_mode & 0o777 == 0o600
    connection.close()


def test_a_reader_cannot_write_and_never_checkpoints(tmp_path: Path) -> None:
    writer = database.open_writer(tmp_path / "agent.db")
    reader = database.open_reader(tmp_path / "agent.db")
    assert pragma(reader, "wal_autocheckpoint") == 0
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM block")
    reader.close()
    writer.close()


def test_positions_come_back_without_the_session(tmp_path: Path) -> None:
    connection = database.open_writer(tmp_path / "agent.db")
    fresh = database.load_positions(connection)
    assert (fresh.next_seq, fresh.applied_seq, fresh.earliest_kept_seq) == (1, 0, 1)
    stored = replace(
        fresh,
        agent_id="a",
        server_incarnation="i",
        session_no=9,
        sync_no=4,
        nonce=b"n",
        applied_seq=7,
        safe_seq=6,
    )
    database.store_positions(connection, stored)
    # No rows are left, so the next event follows the last one applied.
    assert database.load_positions(connection) == replace(
        stored, session_no=0, next_seq=8, earliest_kept_seq=8
    )
    connection.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    before = path.read_bytes()
    with pytest.raises(InvalidStateError, match="salvages what can be read") as caught:
        database.open_writer(path)
    assert caught.value.reason == "DATABASE_DAMAGED"
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (sqlite3.SQLITE_FULL, "DISK_FULL"),
        (sqlite3.SQLITE_IOERR_SHMSIZE, "DISK_FULL"),
        (sqlite3.SQLITE_CANTOPEN, "DATABASE_UNAVAILABLE"),
        (sqlite3.SQLITE_IOERR_FSYNC, "DATABASE_UNAVAILABLE"),
        (sqlite3.SQLITE_READONLY, "DATABASE_UNAVAILABLE"),
        (sqlite3.SQLITE_CORRUPT, "DATABASE_DAMAGED"),
    ],
)
def test_an_error_of_sqlite_becomes_one_with_a_remedy(code: int, reason: str) -> None:
    error = sqlite3.OperationalError("it failed")
    error.sqlite_errorcode = code
    told = database.store_error(error, path=Path("/data/agent.db"))
    assert told.reason == reason
    assert "/data" in told.message
    if isinstance(told, UnavailableError):
        assert told.retry_after_seconds == 2.0


def test_a_path_that_cannot_be_opened_is_told_with_the_path(tmp_path: Path) -> None:
    blocked = tmp_path / "agent.db"
    blocked.mkdir()
    for opening in (database.open_writer, database.open_reader):
        with pytest.raises(UnavailableError, match=str(blocked)) as caught:
            opening(blocked)
        assert caught.value.reason == "DATABASE_UNAVAILABLE"
    with pytest.raises(UnavailableError, match="No such file"):
        database.open_writer(tmp_path / "missing" / "agent.db")
