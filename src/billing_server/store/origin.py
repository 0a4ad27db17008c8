"""Noticing at the start that the database was restored from a backup.

The data's incarnation is what agents compare: a new one makes each of them send again all that it
keeps, which the unique key makes safe. A copy of the data carries the incarnation along, so a mark
beside it tells the copy: on SQLite a file that changes with every start, together with the same
mark in the database; on PostgreSQL the cluster's identifier and its timeline, which a recovery to a
point in time changes.
"""

import contextlib
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError

from billing_server.store.tables import server_state
from billing_server.store.unit_of_work import SqlStore

MARK_BYTES: Final = 16
FILE_MODE: Final = 0o600

log = structlog.get_logger(__name__)


def check_origin(store: SqlStore, *, mark_path: Path | None) -> bool:
    """Renews the incarnation where the data are not those that ran here last.

    Call it once at a start, before agents are served. A crash in the middle at worst renews the
    incarnation without need: then agents send again what was counted, and nothing is counted twice.

    Args:
        store: The database.
        mark_path: File beside a SQLite database; None on PostgreSQL.

    Returns:
        Whether the data went back, or came from elsewhere.
    """
    if mark_path is None:
        return _check_timeline(store)
    beside = _read_marks(mark_path)
    with store.read() as unit:
        inside = _mark_in(unit.connection)
    is_restored = inside is not None and inside not in beside
    fresh = secrets.token_hex(MARK_BYTES)
    # Both marks are good until the database has the new one, so a crash in between is no restore.
    _write_marks(mark_path, [fresh] if inside is None else [inside, fresh])
    _settle(store, mark=fresh, is_restored=is_restored)
    _write_marks(mark_path, [fresh])
    return is_restored


def _check_timeline(store: SqlStore) -> bool:
    with store.read() as unit:
        inside = _mark_in(unit.connection)
        now = _timeline(unit.connection)
    if now is None or inside == now:
        return False
    _settle(store, mark=now, is_restored=inside is not None)
    return inside is not None


def _timeline(connection: Connection) -> str | None:
    """Returns the cluster and its timeline; None where the server's role may not ask."""
    statement = text(
        "SELECT system_identifier::text || '/' || timeline_id::text "
        "FROM pg_control_system(), pg_control_checkpoint()"
    )
    try:
        found: str = connection.execute(statement).scalar_one()
    except DBAPIError as error:
        log.warning("timeline_unknown", error=str(error.orig), remedy="grant pg_monitor")
        return None
    return found


def _mark_in(connection: Connection) -> str | None:
    found: str | None = connection.execute(select(server_state.c.origin_mark)).scalar_one()
    return found


def _settle(store: SqlStore, *, mark: str, is_restored: bool) -> None:
    with store.write() as unit:
        unit.connection.execute(server_state.update().values(origin_mark=mark))
        if is_restored:
            unit.agents.renew_incarnation(secrets.token_hex(MARK_BYTES), at=datetime.now(UTC))
    if is_restored:
        log.error(
            "database_restored",
            remedy="these data are not those that ran here last: every agent sends again all that "
            "it keeps, and nothing is counted twice; see `billing-server agents list` for losses",
        )


def _read_marks(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except (FileNotFoundError, UnicodeDecodeError):
        return []


def _write_marks(path: Path, marks: list[str]) -> None:
    fresh = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write("\n".join(marks) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
