"""Connections to the buffer: one that writes, any number that read."""

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

import sqlite_utils

from meter_agent.core.positions import Positions
from meter_agent.store.data_dir import FILE_MODE, sync_directory
from meter_agent.store.schema import migrate
from metering.errors import InvalidStateError, MeteringError, UnavailableError

PAGE_BYTES: Final = 4096
"""Larger pages save a fifth of the store's CPU on large blocks, and waste half of the disk and of
the log on small ones."""
BUSY_TIMEOUT_SECONDS: Final = 5.0
DISK_FULL_RETRY_SECONDS: Final = 2.0
"""What a caller is told to wait when the disk is full, seconds."""

_STATE_COLUMNS: Final = (
    "disk_id",
    "previous_disk_id",
    "agent_id",
    "server_incarnation",
    "sync_no",
    "nonce",
    "applied_seq",
    "safe_seq",
    "seq_offset",
)


def open_writer(path: Path) -> sqlite3.Connection:
    """Opens the one connection that writes, makes or migrates the schema, and syncs it.

    Raises:
        InvalidStateError: DATABASE_NEWER, or DATABASE_DAMAGED where the file is not a database.
        UnavailableError: DISK_FULL or DATABASE_UNAVAILABLE.
    """
    is_new = not path.exists()
    if is_new:
        _create(path)
    connection = connect_writer(path)
    try:
        database = sqlite_utils.Database(connection, execute_plugins=False, strict=True)
        migrate(database, path=path)
        if is_new:
            sync_directory(path.parent)
    except sqlite3.Error as error:
        connection.close()
        raise store_error(error, path=path) from error
    except InvalidStateError:
        connection.close()
        raise
    return connection


def connect_writer(path: Path) -> sqlite3.Connection:
    """Opens a connection that may write to an existing database, without looking at its schema.

    Raises:
        InvalidStateError: DATABASE_DAMAGED.
        UnavailableError: DISK_FULL or DATABASE_UNAVAILABLE.
    """
    connection = _connect(path, uri=path.absolute().as_uri())
    try:
        for pragma in (
            f"page_size = {PAGE_BYTES}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "wal_autocheckpoint = 0",
            "cache_size = -4096",
            # Some systems build SQLite to overwrite what is deleted: each shipped event would be
            # written to the log once more, and outgrow the room of the ballast.
            "secure_delete = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except sqlite3.Error as error:
        connection.close()
        raise store_error(error, path=path) from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Opens a read-only connection; it never checkpoints.

    Raises:
        InvalidStateError: DATABASE_DAMAGED.
        UnavailableError: DATABASE_UNAVAILABLE.
    """
    connection = _connect(path, uri=f"{path.absolute().as_uri()}?mode=ro")
    try:
        connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
        connection.execute("PRAGMA cache_size = -1024").fetchall()
    except sqlite3.Error as error:
        connection.close()
        raise store_error(error, path=path) from error
    return connection


def load_positions(connection: sqlite3.Connection) -> Positions:
    """Reads the agent's place in the stream; no session is open yet.

    Raises:
        sqlite3.Error: The database cannot be read, or its one row of state is gone.
    """
    cursor = connection.execute(f"SELECT {', '.join(_STATE_COLUMNS)} FROM agent_state WHERE id = 1")
    row = cursor.fetchone()
    if row is None:
        gone = sqlite3.DatabaseError("the agent's state is gone")
        gone.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise gone
    state = dict(zip(_STATE_COLUMNS, row, strict=True))
    state["previous_disk_id"] = bytes.fromhex(state["previous_disk_id"])
    applied_seq = state["applied_seq"]
    last = connection.execute(
        "SELECT first_seq + event_count FROM block ORDER BY first_seq DESC LIMIT 1"
    ).fetchone()
    first = connection.execute("SELECT first_seq FROM block ORDER BY first_seq LIMIT 1").fetchone()
    next_seq = max(applied_seq + 1, last[0] if last else 1)
    return Positions(
        **state,
        earliest_kept_seq=first[0] if first else next_seq,
        next_seq=next_seq,
    )


def store_positions(connection: sqlite3.Connection, positions: Positions) -> None:
    """Writes what of the positions must survive a restart."""
    connection.execute(
        f"UPDATE agent_state SET {', '.join(f'{name} = ?' for name in _STATE_COLUMNS)} "
        "WHERE id = 1",
        (
            positions.disk_id,
            positions.previous_disk_id.hex(),
            positions.agent_id,
            positions.server_incarnation,
            positions.sync_no,
            positions.nonce,
            positions.applied_seq,
            positions.safe_seq,
            positions.seq_offset,
        ),
    )


def is_disk_full(error: sqlite3.Error) -> bool:
    """Returns whether SQLite found no room, in the database or for the log's index."""
    code = getattr(error, "sqlite_errorcode", 0)
    is_full = code & 0xFF == sqlite3.SQLITE_FULL or "disk is full" in str(error)
    return is_full or code == sqlite3.SQLITE_IOERR_SHMSIZE


def is_damage(error: sqlite3.Error) -> bool:
    """Returns whether SQLite found the file damaged, or to be no database."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def damage_cause(error: MeteringError | None) -> str | None:
    """Returns what told of a damage, without what callers are told to do; None for other errors."""
    if error is None or error.reason != "DATABASE_DAMAGED":
        return None
    return error.metadata.get("cause", error.message)


def disk_full_error(directory: Path) -> UnavailableError:
    """Returns what callers are told when the disk under a data directory is full."""
    what = "has no inode left, which is too many files" if has_no_inode(directory) else "is full"
    return UnavailableError(
        reason="DISK_FULL",
        message=f"the disk under {directory} {what}, nothing was recorded; free some space: the "
        "agent goes on by itself",
        retry_after_seconds=DISK_FULL_RETRY_SECONDS,
    )


def has_no_inode(directory: Path) -> bool:
    """Returns whether no file can be made under a directory, however many bytes are free."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return False
    return found.f_files > 0 and found.f_favail == 0


def store_error(error: sqlite3.Error, *, path: Path) -> UnavailableError | InvalidStateError:
    """Returns what callers are told about an error of SQLite."""
    is_not_made = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CANTOPEN
    if is_disk_full(error) or (is_not_made and has_no_inode(path.parent)):
        return disk_full_error(path.parent)
    if is_damage(error):
        return InvalidStateError(
            reason="DATABASE_DAMAGED",
            message=f"{path} is damaged ({error}); check the disk, then restart the agent: it "
            "keeps the file and salvages what can be read into a new one",
            metadata={"path": str(path), "cause": str(error)},
        )
    return UnavailableError(
        reason="DATABASE_UNAVAILABLE",
        message=f"{path} cannot be written ({error}), nothing was recorded; check the disk and "
        "the permissions: the agent goes on by itself",
        retry_after_seconds=DISK_FULL_RETRY_SECONDS,
    )


def _create(path: Path) -> None:
    """Makes the empty file, so that nobody else can ever read it."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
    except OSError as error:
        code = sqlite3.SQLITE_FULL if error.errno == errno.ENOSPC else sqlite3.SQLITE_CANTOPEN
        told = sqlite3.OperationalError(str(error.strerror))
        told.sqlite_errorcode = code
        raise store_error(told, path=path) from error


def _connect(path: Path, *, uri: str) -> sqlite3.Connection:
    try:
        return sqlite3.connect(
            uri,
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_TIMEOUT_SECONDS,
        )
    except sqlite3.Error as error:
        raise store_error(error, path=path) from error
