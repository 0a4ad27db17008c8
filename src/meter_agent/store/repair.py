"""Puts a new database in the place of a damaged one, with all that could be read of it.

The damaged file is renamed aside and kept, with a report beside it. Each step can be interrupted:
the new database is complete before the old one is moved, and a move that was interrupted is ended
at the next start. What is salvaged is numbered without holes up to where the damaged one ended, and
is sent again from its beginning: the server's unique key makes that safe, and the hole shows at the
server as a declared loss.
"""

import contextlib
import json
import os
import sqlite3
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import structlog

from meter_agent.store.data_dir import FILE_MODE, sync_directory
from meter_agent.store.database import open_writer, store_error
from meter_agent.store.quota_salvage import copy_quota
from meter_agent.store.salvage import BlockSalvage, SalvagedRow, row_checksum
from meter_agent.store.schema import DISK_ID_BYTES
from metering.clock import format_instant

COMMIT_BYTES: Final = 4 * 1024 * 1024
"""Bytes of rows that are written to the new database in one commit."""
_SUFFIXES: Final = ("-wal", "-shm", "")
# The database's own file is moved last: while it is there, the move has not ended.
_LOG = structlog.get_logger("meter_agent.store")


@dataclass(frozen=True, slots=True)
class DamageReport:
    """What became of a damaged database."""

    detect_time: str
    """When the damage was found, RFC 3339."""
    cause: str
    """What told of it."""
    moved_to: str
    """Path of the damaged file, kept."""
    salvaged_event_count: int
    """Events that are in the new database, >= 0."""
    lost_event_count: int
    """Events that could not be read, as far as the positions tell, >= 0."""
    is_state_lost: bool
    """Whether the agent's own state could not be read either: it is a new disk to the server."""


@dataclass(frozen=True, slots=True)
class _Survey:
    """What a first reading of the damaged database found."""

    state: SalvagedRow | None
    keep_from_seq: int
    next_seq: int
    event_count: int
    lost_event_count: int


def repair_database(path: Path, *, cause: str, now: datetime) -> DamageReport:
    """Salvages a damaged database into a new one at the same path.

    No connection to it may be open. Where this fails, the damaged database is where it was.

    Args:
        path: Of the database.
        cause: What told of the damage, for the report.
        now: For the report and the name of the file that is kept.

    Raises:
        MeteringError: The new database could not be written, for one where the disk is full.
    """
    stamp = f"{now:%Y%m%dT%H%M%S.%fZ}"
    making = path.with_name(f"{path.name}.salvaging")
    _remove(making)
    try:
        survey = _salvage(path, making)
    except sqlite3.Error as error:
        _remove(making)
        raise store_error(error, path=making) from error
    report = DamageReport(
        detect_time=format_instant(now),
        cause=" ".join(cause.split()),
        moved_to=str(path.with_name(f"{path.name}.damaged-{stamp}")),
        salvaged_event_count=survey.event_count,
        lost_event_count=survey.lost_event_count,
        is_state_lost=survey.state is None,
    )
    _write_report(path.with_name(f"{path.name}.damaged-{stamp}.json"), report)
    making.rename(path.with_name(f"{path.name}.salvaged-{stamp}"))
    sync_directory(path.parent)
    finish_repair(path)
    _LOG.error("database_damaged", **asdict(report))
    return report


def finish_repair(path: Path) -> None:
    """Ends a move that was interrupted; does nothing where there is none.

    Args:
        path: Of the database; no connection to it may be open.
    """
    for made in sorted(path.parent.glob(f"{path.name}.salvaged-*")):
        stamp = made.name.removeprefix(f"{path.name}.salvaged-")
        aside = path.with_name(f"{path.name}.damaged-{stamp}")
        if not aside.exists():
            for suffix in _SUFFIXES:
                with contextlib.suppress(FileNotFoundError):
                    path.with_name(path.name + suffix).rename(f"{aside}{suffix}")
        made.rename(path)
        sync_directory(path.parent)
    _remove(path.with_name(f"{path.name}.salvaging"))


def damage_reports(path: Path) -> list[DamageReport]:
    """Returns the reports beside a database, oldest first; moving one away takes it off the list.

    Args:
        path: Of the database.
    """
    found = []
    for report in sorted(path.parent.glob(f"{path.name}.damaged-*.json")):
        try:
            found.append(DamageReport(**json.loads(report.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError) as error:
            _LOG.warning("damage_report_not_readable", path=str(report), error=str(error))
    return found


def damage_warnings(reports: list[DamageReport]) -> tuple[str, ...]:
    """Returns what a person should look at, one line a damaged database."""
    return tuple(
        f"DATABASE_DAMAGED: found at {report.detect_time} ({report.cause}); "
        f"{report.salvaged_event_count} events were salvaged, {report.lost_event_count} could not "
        f"be read; the damaged file is kept at {report.moved_to}: check the disk, then move it and "
        "its .json away"
        for report in reports
    )


def _salvage(path: Path, making: Path) -> _Survey:
    """Writes what can be read of the database to a new one, whole and synced."""
    with (
        contextlib.closing(BlockSalvage(path)) as source,
        contextlib.closing(open_writer(making)) as target,
    ):
        survey = _survey(source)
        _copy_state(target, survey)
        _copy_blocks(target, source, survey)
        if survey.state is not None and not copy_quota(target, path):
            _change_identity(target)
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return survey


def _survey(source: BlockSalvage) -> _Survey:
    """Reads all once: how the blocks will be numbered is known only at the end."""
    state = source.state()
    applied_seq = state["applied_seq"] if state else 0
    # What is applied and safe is the server's; the damaged file, which is kept, holds it too.
    keep_from_seq = min(applied_seq, state["safe_seq"]) + 1 if state else 1
    next_seq = max(applied_seq, source.last_first_seq()) + 1
    start = keep_from_seq if state else 0
    event_count = 0
    for row in source.blocks(first_seq=keep_from_seq):
        if event_count == 0 and (start == 0 or row["first_seq"] < start):
            start = row["first_seq"]
        event_count += row["event_count"]
    next_seq = max(next_seq, source.end_seq + 1)
    lost = next_seq - (start or 1) - event_count
    return _Survey(state, keep_from_seq, next_seq, event_count, max(lost, 0))


def _copy_state(target: sqlite3.Connection, survey: _Survey) -> None:
    resend_from_seq = survey.next_seq - survey.event_count
    values: dict[str, Any] = dict(survey.state or {})
    values |= {"applied_seq": resend_from_seq - 1, "safe_seq": resend_from_seq - 1}
    # What is lost counts as applied here and is not so at the server. One that was met before would
    # take itself for restored from a backup, and ask every agent to send all again.
    values["server_incarnation"] = ""
    known = _columns(target, "agent_state") - {"id"}
    for name in known & values.keys():
        target.execute(f"UPDATE agent_state SET {name} = ? WHERE id = 1", (values[name],))


def _change_identity(target: sqlite3.Connection) -> None:
    """Takes another disk id: leases that could not be read must not come back as unspent."""
    target.execute(
        "UPDATE agent_state SET previous_disk_id = lower(hex(disk_id)), disk_id = ?, sync_no = 0, "
        "nonce = x'' WHERE id = 1",
        (os.urandom(DISK_ID_BYTES),),
    )
    _LOG.error("leases_lost", remedy="the server holds them until this disk's loss is confirmed")


def _copy_blocks(target: sqlite3.Connection, source: BlockSalvage, survey: _Survey) -> None:
    known = _columns(target, "block")
    next_seq = survey.next_seq - survey.event_count
    end_bytes = uncommitted = 0
    target.execute("BEGIN IMMEDIATE")
    for row in source.blocks(first_seq=survey.keep_from_seq):
        end_bytes += len(row["events"])
        uncommitted += len(row["events"])
        values = {name: value for name, value in row.items() if name in known}
        values |= {"first_seq": next_seq, "end_bytes": end_bytes}
        values["events_crc32"] = row_checksum(values)
        places = ", ".join("?" * len(values))
        target.execute(
            f"INSERT INTO block ({', '.join(values)}) VALUES ({places})",
            tuple(values.values()),
        )
        next_seq += row["event_count"]
        if uncommitted >= COMMIT_BYTES:
            target.execute("COMMIT")
            target.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            target.execute("BEGIN IMMEDIATE")
            uncommitted = 0
    target.execute("COMMIT")


def _columns(target: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in target.execute(f"PRAGMA table_info({table})")}


def _write_report(path: Path, report: DamageReport) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(file, "w", encoding="utf-8") as opened:
        opened.write(json.dumps(asdict(report), indent=2) + "\n")
        opened.flush()
        os.fsync(opened.fileno())


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
