"""Reads a dead agent's buffer where it lies, or as a copy where nothing can be written.

SQLite must write beside a database to read its log. A disk that is mounted read-only, belongs to
another user or is full does not let it, and reading the database without its log (`immutable`)
would leave out what was recorded last. So both are copied to where there is room.
"""

import contextlib
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from meter_agent.store.data_dir import (
    DATABASE_NAME,
    DIRECTORY_MODE,
    LOCK_NAME,
    DataDirectory,
    already_running_error,
)
from metering.errors import PermissionDeniedError, UnavailableError

_NOT_WRITABLE_CODES: Final = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
)
_NOT_WRITABLE_EXTENDED_CODES: Final = (
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMMAP,
)


@contextlib.contextmanager
def readable_buffer(data_dir: Path, *, scratch: Path) -> Iterator[Path]:
    """Holds a data directory that no agent uses, and gives the path of a database to read.

    Nothing of the directory is changed. The lock is held meanwhile; where there is none and none
    can be made, no agent can run there either.

    Args:
        data_dir: Of the dead agent.
        scratch: Directory that is made for a copy where one is needed, and removed at the end.

    Raises:
        InvalidStateError: AGENT_ALREADY_RUNNING.
        PermissionDeniedError: The lock is there and may not be read.
        UnavailableError: BUFFER_NOT_COPIED.
    """
    path = data_dir.absolute() / DATABASE_NAME
    with _held(data_dir) as is_writable:
        if is_writable and _can_be_read(path):
            yield path
            return
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            yield _copy(path, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _held(data_dir: Path) -> Iterator[bool]:
    """Holds the lock; gives whether the directory may be written to."""
    try:
        directory = DataDirectory(data_dir)
    except PermissionDeniedError:
        with _held_for_reading(data_dir):
            yield False
        return
    with directory:
        yield True


@contextlib.contextmanager
def _held_for_reading(data_dir: Path) -> Iterator[None]:
    lock_path = data_dir / LOCK_NAME
    try:
        lock = os.open(lock_path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    except OSError as error:
        raise PermissionDeniedError(
            reason="DATA_DIR_NOT_READABLE",
            message=f"{lock_path} cannot be read ({error.strerror}); run it as root, or as the "
            "user that the files belong to",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise already_running_error(data_dir, holder="") from error
    try:
        yield
    finally:
        os.close(lock)


def _can_be_read(path: Path) -> bool:
    """Tells whether SQLite can make beside the database what it needs; damage is told elsewhere."""
    try:
        uri = f"{path.as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0)
        return code & 0xFF not in _NOT_WRITABLE_CODES and code not in _NOT_WRITABLE_EXTENDED_CODES
    return True


def _copy(path: Path, scratch: Path) -> Path:
    """Copies the database, its log and what an interrupted repair has made; returns its path.

    The log's index is left out: it is made anew from the log, and that of a host that lost power
    may say anything.
    """
    log = path.with_name(f"{path.name}-wal")
    try:
        scratch.mkdir(mode=DIRECTORY_MODE & 0o700)
        for file in (path, log, *path.parent.glob(f"{path.name}.salvaged-*")):
            if file.exists():
                shutil.copyfile(file, scratch / file.name)
    except OSError as error:
        raise UnavailableError(
            reason="BUFFER_NOT_COPIED",
            message=f"nothing can be written in {path.parent}, and the copy to {scratch} failed "
            f"({error}); write the file where there is room for the buffer and its log as well. "
            "Where the disk cannot be read any more, copy it with ddrescue first",
        ) from error
    return scratch / path.name
