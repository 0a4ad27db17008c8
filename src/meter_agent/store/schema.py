"""Schema of the buffer and its migrations, in order; none is ever changed once released."""

import os
from pathlib import Path
from typing import Final

import sqlite_utils
from sqlite_utils.db import Table
from sqlite_utils.migrations import Migrations

from metering.errors import InvalidStateError

DISK_ID_BYTES: Final = 16

READABLE_FROM: Final = 3
"""How many of the migrations a program must know to work on this schema; the file says it in
`user_version`, so that the version before can be started again. A migration that only adds a table,
or a column with a default, leaves it as it is; one that gives a known column another meaning raises
it to its own number."""

MIGRATIONS: Final = Migrations("meter_agent")


@MIGRATIONS(name="0001_outbox")
def create_outbox(db: sqlite_utils.Database) -> None:
    """Makes the table of blocks and the one row of the agent's state."""
    block = _table(db, "block")
    block.create(
        {
            # Position of the block's first event; the row id, so blocks lie in shipping order.
            "first_seq": int,
            "event_count": int,
            "receive_time_us": int,
            "oldest_event_time_us": int,
            # Bytes of all blocks ever written, up to and with this one: the bytes of any range are
            # one subtraction, however long the backlog.
            "end_bytes": int,
            "events": bytes,
        },
        pk="first_seq",
        not_null={
            "event_count",
            "receive_time_us",
            "oldest_event_time_us",
            "end_bytes",
            "events",
        },
        strict=True,
    )
    block.create_index(["oldest_event_time_us"])
    state = _table(db, "agent_state")
    state.create(
        {
            "id": int,
            "disk_id": bytes,
            "agent_id": str,
            "server_incarnation": str,
            "sync_no": int,
            "nonce": bytes,
            "applied_seq": int,
            "safe_seq": int,
        },
        pk="id",
        not_null={
            "disk_id",
            "agent_id",
            "server_incarnation",
            "sync_no",
            "nonce",
            "applied_seq",
            "safe_seq",
        },
        strict=True,
    )
    state.insert(
        {
            "id": 1,
            "disk_id": os.urandom(DISK_ID_BYTES),
            "agent_id": "",
            "server_incarnation": "",
            "sync_no": 0,
            "nonce": b"",
            "applied_seq": 0,
            "safe_seq": 0,
        }
    )


@MIGRATIONS(name="0002_block_checksum")
def add_block_checksum(db: sqlite_utils.Database) -> None:
    """Gives each block a checksum of its events: SQLite itself has none for a page's content."""
    # NULL in blocks of an older program: those are taken as they are.
    _table(db, "block").add_column("events_crc32", int)


@MIGRATIONS(name="0003_numbering")
def add_numbering(db: sqlite_utils.Database) -> None:
    """Lets rows be numbered anew without being rewritten, and remembers a disk id given up."""
    state = _table(db, "agent_state")
    state.add_column("seq_offset", int, not_null_default=0)
    # In hexadecimal digits.
    state.add_column("previous_disk_id", str, not_null_default="")


@MIGRATIONS(name="0004_refused_block")
def create_refused_block(db: sqlite_utils.Database) -> None:
    """Makes the table of events that the server refuses for good: they are kept for a person."""
    _table(db, "refused_block").create(
        {"seq": int, "receive_time_us": int, "reason": str, "message": str, "payload": bytes},
        pk="seq",
        not_null={"receive_time_us", "reason", "message", "payload"},
        strict=True,
    )


@MIGRATIONS(name="0005_quota")
def create_quota(db: sqlite_utils.Database) -> None:
    """Makes the tables of leases, reservations and terms."""
    _table(db, "lease").create(
        {
            "customer_id": str,
            "limit_key": str,
            # Empty: an allowance of the agent's own, which no event names.
            "lease_id": bytes,
            "window_id": str,
            "granted": int,
            "returned": int,
            "consumed": int,
            "recall_no": int,
            "rate_per_minute": int,
            "burst": int,
            # 0, or 1; 2: closed and given up.
            "is_closed": int,
            # Highest position on disk whose event may name it; 0: none.
            "last_seq": int,
        },
        pk=("customer_id", "limit_key", "lease_id"),
        not_null={
            "window_id",
            "granted",
            "returned",
            "consumed",
            "recall_no",
            "rate_per_minute",
            "burst",
            "is_closed",
            "last_seq",
        },
        strict=True,
    )
    reservation = _table(db, "reservation")
    reservation.create(
        {
            "reservation_id": str,
            "state": str,
            # When it was written last, microseconds since 1970 UTC: ended ones go after a while.
            "change_time_us": int,
            "body": str,
        },
        pk="reservation_id",
        not_null={"state", "change_time_us", "body"},
        strict=True,
    )
    reservation.create_index(["state", "change_time_us"])
    _table(db, "customer_terms").create(
        {"customer_id": str, "revision": int, "terms": bytes},
        pk="customer_id",
        not_null={"revision", "terms"},
        strict=True,
    )


@MIGRATIONS(name="0006_bucket")
def add_bucket(db: sqlite_utils.Database) -> None:
    """Keeps what a share's bucket holds, in whole units: it began empty with each process."""
    _table(db, "lease").add_column("tokens", int, not_null_default=0)


@MIGRATIONS(name="0007_allowance")
def add_carried(db: sqlite_utils.Database) -> None:
    """Keeps what of an allowance is not the limit's, so that a changed one is heeded at once."""
    _table(db, "lease").add_column("carried", int, not_null_default=0)


def migrate(db: sqlite_utils.Database, *, path: Path) -> None:
    """Brings the schema up to date; changes nothing where it is, or where a newer program was here.

    Args:
        db: The writer's connection.
        path: Of the database, for the message.

    Raises:
        InvalidStateError: DATABASE_NEWER where a newer program has changed the schema, and this
            one cannot work on it; DATABASE_DAMAGED.
    """
    empty = sqlite_utils.Database(memory=True, execute_plugins=False)
    known = [migration.name for migration in MIGRATIONS.pending(empty)]
    empty.close()
    applied = [item.name for item in MIGRATIONS.applied(db)]
    unknown = [name for name in applied if name not in known]
    missing = [name for name in known if name not in applied]
    # A newer program has applied all that this one knows, an older one the first of them.
    if missing and (unknown or applied != known[: len(applied)] or _is_made(db, applied)):
        raise InvalidStateError(
            reason="DATABASE_DAMAGED",
            message=f"{path} is damaged: its schema says {', '.join(applied) or 'nothing'}",
            metadata={"path": str(path)},
        )
    if unknown and 0 < _readable_from(db) <= len(known):
        return
    if unknown:
        raise InvalidStateError(
            reason="DATABASE_NEWER",
            message=f"{path} was written by a newer meter-agent (schema {', '.join(unknown)}); "
            "start that version or a later one, or give this one another --data-dir",
            metadata={"path": str(path), "schema": unknown[-1]},
        )
    MIGRATIONS.apply(db)
    if _readable_from(db) != READABLE_FROM:
        db.execute(f"PRAGMA user_version = {READABLE_FROM}")


def _readable_from(db: sqlite_utils.Database) -> int:
    """Returns how many migrations the file asks a program to know; 0 where it does not say."""
    [found] = db.execute("PRAGMA user_version").fetchone()
    return int(found)


def _is_made(db: sqlite_utils.Database, applied: list[str]) -> bool:
    """Returns whether there are tables although the schema says that none was made."""
    return not applied and bool({"block", "agent_state"} & set(db.table_names()))


def _table(db: sqlite_utils.Database, name: str) -> Table:
    return db.table(name)
