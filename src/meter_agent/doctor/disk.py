"""What lies on this machine: the directory, the disk, the database, and SQLite itself."""

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Final

import sqlite_utils

from meter_agent.doctor.finding import Finding, error, ok, warning
from meter_agent.store.data_dir import DATABASE_NAME, refuse_network_file_system
from meter_agent.store.database import damage_cause, has_no_inode, open_reader
from meter_agent.store.schema import MIGRATIONS
from metering.errors import MeteringError

DISK_FREE_BYTES_MIN: Final = 16 * 1024 * 1024
"""Below this a disk counts as full."""
SQLITE_VERSION_SAFE: Final = (3, 51, 3)
"""First version in which two connections that checkpoint at once cannot damage the log."""
_MIB: Final = 1024 * 1024


def check_directory(path: Path) -> list[Finding]:
    """Looks at the data directory: there, writable, on a local disk."""
    if not path.exists():
        parent = next(part for part in path.parents if part.exists())
        if not os.access(parent, os.W_OK | os.X_OK):
            return [_not_writable(path, f"it is missing, and {parent} may not be written")]
        return [ok("directory", f"{path} is missing; the agent makes it at its start")]
    if not path.is_dir() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return [_not_writable(path, "this user may not write it")]
    try:
        refuse_network_file_system(path)
    except MeteringError as refused:
        remedy = "give a directory on a local disk with --data-dir"
        return [error("directory", refused.reason, refused.message, remedy=remedy)]
    return [ok("directory", f"{path} is writable and local")]


def check_free_space(path: Path, *, budget_bytes: int) -> list[Finding]:
    """Looks at the room under the data directory.

    Args:
        path: The data directory; it may be missing.
        budget_bytes: Bytes that buffered events may take, >= 1.
    """
    existing = next(part for part in (path, *path.parents) if part.exists())
    if has_no_inode(existing):
        return [
            error(
                "disk",
                "DISK_FULL",
                f"no inode is free under {existing}: the agent cannot start",
                remedy="delete files on it (`df -i`), or give a --data-dir on another disk",
            )
        ]
    free = shutil.disk_usage(existing).free
    if free < DISK_FREE_BYTES_MIN:
        return [
            error(
                "disk",
                "DISK_FULL",
                f"{free // _MIB} MiB are free under {existing}: the agent is not ready, and "
                "refuses events once its log has no room",
                remedy="free at least 16 MiB; the agent goes on by itself",
            )
        ]
    used = (path / DATABASE_NAME).stat().st_size if (path / DATABASE_NAME).exists() else 0
    missing = budget_bytes - used - free
    if missing > 0:
        return [
            warning(
                "disk",
                "DISK_NEARLY_FULL",
                f"{free // _MIB} MiB are free under {existing}, and the budget of "
                f"{budget_bytes // _MIB} MiB may need {missing // _MIB + 1} MiB more",
                remedy="free the room, or lower --disk-budget-bytes to what there is: else a long "
                "outage of the server ends in a full disk",
            )
        ]
    return [ok("disk", f"{free // _MIB} MiB are free under {existing}")]


def check_database(path: Path) -> list[Finding]:
    """Reads the buffer's database: its version, and its structure whole.

    Args:
        path: The data directory.
    """
    database = path / DATABASE_NAME
    try:
        if not database.exists():
            return [ok("database", f"{database} is missing; the agent makes it at its start")]
        connection = open_reader(database)
    except OSError as refused:
        return [_not_readable(database, str(refused.strerror))]
    except MeteringError as refused:
        return [_damaged_or_unreadable(database, refused)]
    try:
        return [_check_content(database, connection)]
    except sqlite3.DatabaseError as failure:
        return [_damaged(database, str(failure))]
    finally:
        connection.close()


def check_sqlite(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> list[Finding]:
    """Looks at the version of SQLite that this Python uses.

    Args:
        version: As `sqlite3.sqlite_version_info`.
    """
    text = ".".join(map(str, version))
    if version < SQLITE_VERSION_SAFE:
        safe = ".".join(map(str, SQLITE_VERSION_SAFE))
        return [
            warning(
                "sqlite",
                "SQLITE_OLD",
                f"SQLite {text} can damage a log that two programs checkpoint at once; the agent "
                "alone never does",
                remedy="never open agent.db with another program that writes while the agent "
                f"runs (read it with `meter-agent tail`); or use a Python with SQLite {safe}",
            )
        ]
    return [ok("sqlite", f"SQLite {text}")]


def _check_content(database: Path, connection: sqlite3.Connection) -> Finding:
    applied = _applied_migrations(connection)
    unknown = [name for name in applied if name not in _known_migrations()]
    if unknown:
        return error(
            "database",
            "DATABASE_NEWER",
            f"{database} was written by a newer meter-agent (schema {', '.join(unknown)})",
            remedy="start that version or a later one; to go back for good, let the newer one "
            "drain first (`meter-agent drain`), then move the file aside",
        )
    [found] = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        return _damaged(database, str(found))
    [count] = connection.execute("SELECT COALESCE(SUM(event_count), 0) FROM block").fetchone()
    return ok("database", f"{database} is whole and keeps {count:,} events")


def _applied_migrations(connection: sqlite3.Connection) -> list[str]:
    view = sqlite_utils.Database(connection, execute_plugins=False)
    return [item.name for item in MIGRATIONS.applied(view)]


def _known_migrations() -> set[str]:
    empty = sqlite_utils.Database(memory=True, execute_plugins=False)
    known = {migration.name for migration in MIGRATIONS.pending(empty)}
    empty.close()
    return known


def _damaged_or_unreadable(database: Path, refused: MeteringError) -> Finding:
    if refused.reason == "DISK_FULL":
        remedy = "free some space; it needs room beside the database even to be read"
        return error("database", refused.reason, f"{database} cannot be read", remedy=remedy)
    cause = damage_cause(refused)
    return _not_readable(database, refused.message) if cause is None else _damaged(database, cause)


def _damaged(database: Path, why: str) -> Finding:
    return error(
        "database",
        "DATABASE_DAMAGED",
        f"{database}: {' '.join(why.split())}",
        remedy="check the disk (`dmesg`, SMART), then restart the agent: it keeps the file and "
        "salvages what can be read into a new one",
    )


def _not_readable(database: Path, why: str) -> Finding:
    return error(
        "database",
        "DATABASE_NOT_READABLE",
        f"{database} cannot be read ({why})",
        remedy="run the doctor as the agent's user, e.g. `sudo -u meter-agent meter-agent doctor`",
    )


def _not_writable(path: Path, why: str) -> Finding:
    return error(
        "directory",
        "DATA_DIR_NOT_WRITABLE",
        f"{path}: {why}",
        remedy="run the doctor as the agent's user; let that user own the directory (chown), or "
        "give another one with --data-dir",
    )
