"""What a damaged database still holds of leases and reservations: all of it, or nothing.

A lease whose row is lost would come back from the server as unspent, although events that spent it
may lie in the buffer. So where anything cannot be read, nothing is kept, and the disk goes on under
another id: the server then takes its old leases for those of a lost disk.
"""

import sqlite3
from pathlib import Path
from typing import Any, Final

TABLES: Final = ("lease", "reservation", "customer_terms")


def copy_quota(target: sqlite3.Connection, path: Path) -> bool:
    """Copies the rows of all tables; returns whether every one was read.

    Args:
        target: A new database, to which nothing was written of these tables.
        path: Of the damaged one, with its log beside it.
    """
    source = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        source.execute("PRAGMA cell_size_check = ON")
        rows = {table: _rows(source, table) for table in TABLES}
    except sqlite3.Error:
        return False
    finally:
        source.close()
    target.execute("BEGIN IMMEDIATE")
    for table, (names, values) in rows.items():
        if not values:
            continue
        places = ", ".join("?" * len(names))
        target.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})", values)
    target.execute("COMMIT")
    return True


def _rows(source: sqlite3.Connection, table: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    if not source.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)
    ).fetchone():
        return [], []  # Of a version that had no quota.
    cursor = source.execute(f"SELECT * FROM {table}")
    return [column[0] for column in cursor.description], cursor.fetchall()
