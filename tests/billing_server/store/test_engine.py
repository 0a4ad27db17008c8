"""A commit is a promise, one writer at a time, and errors that say what to do."""

import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from billing_server.store import engine
from billing_server.store.engine import (
    Backend,
    busy_error,
    error_from_database,
    open_engines,
    translated,
)
from billing_server.store.unit_of_work import open_store
from metering.errors import ConflictError, MeteringError, UnavailableError, ValidationError


def pragma(connection: object, name: str) -> object:
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar()  # type: ignore[attr-defined]


def test_the_writer_is_durable_and_alone_checkpoints(sqlite_url: str) -> None:
    engines = open_engines(sqlite_url)
    with engines.writer.connect() as connection:
        assert pragma(connection, "journal_mode") == "wal"
        assert pragma(connection, "synchronous") == 2  # FULL
        assert pragma(connection, "foreign_keys") == 1
        assert pragma(connection, "wal_autocheckpoint") == 8_000
    with engines.reader.connect() as connection:
        assert pragma(connection, "wal_autocheckpoint") == 0
        assert pragma(connection, "query_only") == 1
    engines.dispose()


def test_a_reader_cannot_write(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    with pytest.raises(OperationalError, match="readonly"), store.read() as unit:
        unit.connection.execute(text("DELETE FROM agent"))
    store.close()


def test_closing_leaves_one_file_behind(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'billing.db'}")
    with store.read() as unit:
        unit.agents.incarnation()
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["billing.db"]


@pytest.mark.parametrize(
    ("url", "backend"),
    [
        ("sqlite://", Backend.SQLITE_MEMORY),
        ("sqlite:////tmp/never-opened.db", Backend.SQLITE_FILE),
        ("postgresql://u@localhost/never-opened", Backend.POSTGRESQL),
    ],
)
def test_the_url_says_which_database_it_is(url: str, backend: Backend) -> None:
    engines = open_engines(url)
    assert engines.backend is backend
    engines.dispose()


@pytest.mark.parametrize("url", ["mysql://localhost/x", "billing.db", ""])
def test_another_url_is_refused_with_the_forms_that_work(url: str) -> None:
    with pytest.raises(ValidationError, match="sqlite:///PATH") as raised:
        open_engines(url)
    assert raised.value.reason == "DATABASE_URL_MALFORMED"


@pytest.mark.parametrize(
    ("text_of_error", "kind", "reason"),
    [
        ("database is locked", ConflictError, "DATABASE_BUSY"),
        ("database or disk is full", UnavailableError, "DISK_FULL"),
    ],
)
def test_an_error_that_a_caller_can_act_on_is_translated(
    text_of_error: str, kind: type[MeteringError], reason: str
) -> None:
    with pytest.raises(kind) as raised, translated():
        raise sqlite3.OperationalError(text_of_error)
    assert raised.value.reason == reason
    assert raised.value.retry_after_seconds


def test_a_full_disk_is_told_in_the_log_and_not_with_each_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = iter([0.0, 9.9, 10.0])
    monkeypatch.setattr(engine, "_outages", engine._Outages())
    monkeypatch.setattr(engine, "time", SimpleNamespace(monotonic=lambda: next(times)))
    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(UnavailableError), translated():
                raise sqlite3.OperationalError("database or disk is full")
        with pytest.raises(ConflictError), translated():
            raise sqlite3.OperationalError("database is locked")
    told = {
        "event": "database_unavailable",
        "reason": "DISK_FULL",
        "error": "the database's disk is full: free space on it, then try again",
        "log_level": "error",
    }
    assert logs == [told, told]


def test_a_bug_stays_what_it_is() -> None:
    assert error_from_database(sqlite3.OperationalError("no such table: x")) is None
    with pytest.raises(sqlite3.OperationalError), translated():
        raise sqlite3.OperationalError("no such table: x")
    busy = busy_error("as it is")
    with pytest.raises(ConflictError), translated():
        raise busy


@pytest.mark.postgresql
def test_a_lock_that_is_not_had_in_time_is_busy(postgresql_url: str) -> None:
    store = open_store(postgresql_url)

    def wait_in_vain() -> None:
        with store.write() as unit:
            unit.connection.execute(text("SET LOCAL lock_timeout = '20ms'"))
            unit.usage.share_catalog()

    with store.write() as holder:
        holder.connection.execute(text("SELECT 1 FROM catalog_state FOR UPDATE"))
        with pytest.raises(ConflictError) as raised:
            wait_in_vain()
    assert raised.value.reason == "DATABASE_BUSY"
    store.close()


@pytest.mark.postgresql
def test_a_server_that_is_away_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as raised:
        open_store(f"postgresql://postgres@/x?host={tmp_path}")
    assert raised.value.reason == "DATABASE_UNREACHABLE"
