"""`export` and `import`: carries the buffer of a dead host to one that lives.

Nothing is counted twice, whoever else ships the same events: the server knows each by its id.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from meter_agent.core import export_file as core
from meter_agent.core.disk_budget import DiskBudget
from meter_agent.core.export_file import ExportFooter, ExportHeader, ExportReader
from meter_agent.store.data_dir import (
    DATABASE_NAME,
    FILE_MODE,
    DataDirectory,
    sync_directory,
)
from meter_agent.store.database import store_error
from meter_agent.store.group import Append, Ticket
from meter_agent.store.log_damage import DAMAGE_COMMIT_COUNT_MIN, passed_over_commit_count
from meter_agent.store.repair import finish_repair
from meter_agent.store.repairer import open_outbox
from meter_agent.store.rescue_source import readable_buffer
from meter_agent.store.salvage import BlockSalvage, SalvagedRow
from metering.api.v1.ingest_pb2 import UsageBlock
from metering.clock import format_instant
from metering.errors import (
    AlreadyExistsError,
    InvalidStateError,
    NotFoundError,
    QuotaExceededError,
    UnavailableError,
)


class RescueMode(Enum):
    """What is done about parts that cannot be read."""

    WHOLE = "whole"
    """All or nothing."""
    SALVAGE = "salvage"
    """What is readable is taken, the rest is counted."""


@dataclass(frozen=True, slots=True)
class RescueSummary:
    """What was carried."""

    header: ExportHeader
    """Where the events come from."""
    block_count: int
    """Blocks, >= 0."""
    event_count: int
    """Events, >= 0."""
    lost_event_count: int = 0
    """Events that could not be read from a damaged buffer, as far as its positions tell, >= 0."""
    unreadable_bytes: int = 0
    """Bytes of a damaged file that were skipped, >= 0."""
    unreadable_commit_count: int = 0
    """Commits of a damaged log that could not be read, nor their events counted as lost, >= 0."""


def export_buffer(
    data_dir: Path, *, file: Path, mode: RescueMode, now: datetime, agent_version: str
) -> RescueSummary:
    """Writes what the server may not have of a buffer to a file; the buffer stays as it is.

    Args:
        data_dir: Directory of an agent that does not run; may be read-only, or on a full disk.
        file: To be made; must not exist. Where nothing can be written in `data_dir`, the buffer
            and its log are copied beside it meanwhile.
        mode: Whether a damaged buffer is refused.
        now: For the header.
        agent_version: For the header.

    Raises:
        MeteringError: Nothing was written; the message says why and what to do.
    """
    path = data_dir.absolute() / DATABASE_NAME
    if not path.exists() and not any(path.parent.glob(f"{path.name}.salvaged-*")):
        raise NotFoundError(
            reason="BUFFER_MISSING",
            message=f"there is no buffer at {path}; give the data directory of the dead agent with "
            "--data-dir",
        )
    if file.exists():
        raise AlreadyExistsError(
            reason="EXPORT_FILE_EXISTS",
            message=f"{file} exists; give another name, or move it away",
        )
    scratch = file.with_name(f".{file.name}.copy")
    with readable_buffer(data_dir, scratch=scratch) as readable:
        finish_repair(readable)
        missing = passed_over_commit_count(readable)
        missing = missing if missing >= DAMAGE_COMMIT_COUNT_MIN else 0
        if missing and mode is RescueMode.WHOLE:
            raise _damaged(path)
        with contextlib.closing(BlockSalvage(readable)) as source, _new_file(file) as output:
            written = _write(source, output, mode=mode, now=now, version=agent_version, path=path)
    return replace(written, unreadable_commit_count=missing)


def import_file(
    data_dir: Path, *, file: Path, mode: RescueMode, budget: DiskBudget, now: datetime
) -> RescueSummary:
    """Appends the events of an exported file to a buffer, under positions of its own.

    One commit: all of the file or nothing. Importing it again counts nothing twice.

    Args:
        data_dir: Directory of an agent that does not run; made where it is missing.
        file: As `export_buffer` wrote it.
        mode: Whether a damaged file is refused.
        budget: The disk budget of the agent.
        now: For the report, where the buffer itself is found damaged.

    Raises:
        MeteringError: Nothing was imported; the message says why and what to do.
    """
    with _opened(file) as source:
        survey, event_bytes = _survey(source, file, mode)
    with DataDirectory(data_dir) as directory:
        outbox = open_outbox(directory.database_path, now=lambda: now)
        try:
            room = budget.bytes_max - outbox.state.kept_bytes
            if event_bytes > room:
                raise QuotaExceededError(
                    reason="IMPORT_EXCEEDS_BUDGET",
                    message=f"{file} holds {event_bytes} bytes of events and the disk budget has "
                    f"room for {max(room, 0)}; nothing was imported: raise --disk-budget-bytes, or "
                    "let the agent ship first",
                )
            with _opened(file) as source:
                reader = ExportReader(source, name=str(file))
                outbox.append_all(_append(block) for block in _blocks(reader, mode))
        except sqlite3.Error as error:
            outbox.recover(error)
            raise store_error(error, path=outbox.path) from error
        finally:
            outbox.close()
    return survey


def _write(
    source: BlockSalvage,
    output: BinaryIO,
    *,
    mode: RescueMode,
    now: datetime,
    version: str,
    path: Path,
) -> RescueSummary:
    state = source.state()
    if state is None and mode is RescueMode.WHOLE:
        raise _damaged(path)
    header = ExportHeader(
        agent_id=str(state["agent_id"]) if state else "",
        disk_id=bytes(state["disk_id"]).hex() if state else "",
        export_time=format_instant(now),
        agent_version=version,
    )
    output.write(core.first_line() + core.header_frame(header))
    first_seq = min(state["applied_seq"], state["safe_seq"]) + 1 if state else 1
    block_count = event_count = start = 0
    for row in source.blocks(first_seq=first_seq):
        start = start or row["first_seq"]
        output.write(core.block_frame(_block_to_proto(row)))
        block_count += 1
        event_count += row["event_count"]
    if source.has_failed and mode is RescueMode.WHOLE:
        raise _damaged(path)
    lost = 0
    if source.has_failed:
        start = min(start, first_seq) if state and start else start or first_seq
        end_seq = max(source.end_seq, source.last_first_seq())
        lost = max(end_seq - start + 1 - event_count, 0)
    output.write(core.footer_frame(ExportFooter(block_count, event_count, lost)))
    return RescueSummary(header, block_count, event_count, lost_event_count=lost)


def _survey(source: BinaryIO, file: Path, mode: RescueMode) -> tuple[RescueSummary, int]:
    """Reads the whole file before anything is written; returns the bytes of its events too."""
    reader = ExportReader(source, name=str(file))
    block_count = event_count = event_bytes = 0
    for block in _blocks(reader, mode):
        block_count += 1
        event_count += block.event_count
        event_bytes += len(block.events)
    summary = RescueSummary(
        reader.header, block_count, event_count, unreadable_bytes=reader.unreadable_bytes
    )
    return summary, event_bytes


def _blocks(reader: ExportReader, mode: RescueMode) -> Iterator[core.ExportedBlock]:
    return reader.blocks() if mode is RescueMode.WHOLE else reader.salvage()


def _append(block: core.ExportedBlock) -> Append:
    return Append(
        event_count=block.event_count,
        receive_time_us=block.receive_time_us,
        oldest_event_time_us=block.oldest_event_time_us,
        events=block.events,
        ticket=Ticket(),
    )


def _block_to_proto(row: SalvagedRow) -> UsageBlock:
    block = UsageBlock(
        first_seq=row["first_seq"], event_count=row["event_count"], events=row["events"]
    )
    block.receive_time.FromMicroseconds(row["receive_time_us"])
    return block


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    try:
        opened = file.open("rb")
    except OSError as error:
        raise NotFoundError(
            reason="EXPORT_FILE_NOT_READABLE",
            message=f"{file}: {error.strerror}; give the file that `meter-agent export` wrote",
        ) from error
    with opened:
        yield opened


@contextlib.contextmanager
def _new_file(file: Path) -> Iterator[BinaryIO]:
    """Makes a file that is there whole and synced once the block has ended, or not at all."""
    making = file.with_name(f".{file.name}.part")
    try:
        making.unlink(missing_ok=True)
        made = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(made, "wb") as output:
            yield output
            output.flush()
            os.fsync(output.fileno())
        making.rename(file)
        sync_directory(file.absolute().parent)
    except OSError as error:
        raise UnavailableError(
            reason="EXPORT_FILE_NOT_WRITABLE",
            message=f"{file} cannot be written ({error.strerror}); give a path with enough room",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            making.unlink(missing_ok=True)


def _damaged(path: Path) -> InvalidStateError:
    return InvalidStateError(
        reason="DATABASE_DAMAGED",
        message=f"{path} is damaged; nothing was written; take what is readable with --salvage",
        metadata={"path": str(path)},
    )
