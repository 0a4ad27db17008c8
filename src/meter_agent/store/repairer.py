"""Opens the buffer whatever state it is in, and replaces it while the agent runs."""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog

from meter_agent.store.database import damage_cause, is_damage, open_writer
from meter_agent.store.log_damage import DAMAGE_COMMIT_COUNT_MIN, passed_over_commit_count
from meter_agent.store.outbox import Outbox
from meter_agent.store.reader import OutboxReader
from meter_agent.store.repair import finish_repair, repair_database
from metering.errors import InvalidStateError, MeteringError

REPAIR_COUNT_MAX: Final = 3
"""Repairs of one process: a disk that damages each new database too needs a person."""

_LOG = structlog.get_logger("meter_agent.store")


def ended_uncleanly(path: Path) -> bool:
    """Returns whether the last process on a database did not close it: its log is still there.

    Args:
        path: Of the database, before it is opened.
    """
    return path.with_name(f"{path.name}-wal").exists()


def open_outbox(path: Path, *, now: Callable[[], datetime]) -> Outbox:
    """Opens the buffer; a damaged one is salvaged into a new one first.

    Args:
        path: Of the database; made where it is missing.
        now: Tells the time, for the report.

    Raises:
        MeteringError: It cannot be opened, or the new one cannot be written.
    """
    finish_repair(path)
    missing = passed_over_commit_count(path)
    if missing >= DAMAGE_COMMIT_COUNT_MIN:
        told = f"the log is damaged: {missing} commits in it cannot be read, nor counted as lost"
        repair_database(path, cause=told, now=now())
    try:
        return _open(path)
    except InvalidStateError as error:
        cause = damage_cause(error)
        if cause is None:
            raise
        repair_database(path, cause=cause, now=now())
    return _open(path)


class Repairer:
    """Replaces the database of a running agent. Used by the writer's thread.

    Args:
        path: Of the database.
        readers: All of its readers; they wait while it is replaced. May be added to.
        now: Tells the time, for the report.
    """

    def __init__(
        self, path: Path, *, readers: Sequence[OutboxReader], now: Callable[[], datetime]
    ) -> None:
        self._path = path
        self._readers = readers
        self._now = now
        self._count = 0

    def repair(self, outbox: Outbox, *, cause: str) -> bool:
        """Salvages the database into a new one; returns whether that went well.

        Args:
            outbox: The writing side, closed meanwhile.
            cause: What told of the damage.
        """
        if self._count >= REPAIR_COUNT_MAX:
            _LOG.error("repair_given_up", path=str(self._path), repair_count=self._count)
            return False
        self._count += 1
        try:
            with ExitStack() as stack:
                for reader in self._readers:
                    stack.enter_context(reader.suspended())
                outbox.suspend()
                try:
                    repair_database(self._path, cause=cause, now=self._now())
                finally:
                    outbox.resume()
        except (MeteringError, sqlite3.Error, OSError) as error:
            _LOG.error("repair_failed", path=str(self._path), error=str(error))
            return False
        return True


class IntegrityCheck:
    """Checks the database in the background, after an unclean end.

    Args:
        reader: A reader of its own; closed at the end.
        on_damage: Told what is wrong.
    """

    def __init__(self, reader: OutboxReader, *, on_damage: Callable[[str], None]) -> None:
        self._reader = reader
        self._on_damage = on_damage
        self._thread = threading.Thread(target=self._run, name="integrity-check", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def join(self, timeout_seconds: float) -> None:
        """Waits until the check has ended."""
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        try:
            found = self._reader.check()
        except MeteringError as error:
            _LOG.warning("integrity_check_failed", error=error.message)
            return
        if found:
            self._on_damage(found)
        else:
            _LOG.info("integrity_check_passed")


def _open(path: Path) -> Outbox:
    connection = open_writer(path)
    try:
        return Outbox(path, connection=connection)
    except (sqlite3.Error, TypeError) as error:
        # A state's row that is missing reads as None.
        connection.close()
        if isinstance(error, sqlite3.Error) and not is_damage(error):
            raise
        raise InvalidStateError(
            reason="DATABASE_DAMAGED",
            message=f"{path} is damaged ({error})",
            metadata={"path": str(path), "cause": str(error)},
        ) from error
