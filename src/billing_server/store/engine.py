"""Engines for SQLite and PostgreSQL, set up so that a commit is a promise.

SQLite: write-ahead log, `synchronous=FULL`, one writer connection that alone checkpoints, write
transactions that begin IMMEDIATE, readers that cannot write. PostgreSQL: writers read committed,
with row locks and bounded waiting for them; readers see one snapshot and cannot write.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

import psycopg
import structlog
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from metering.errors import ConflictError, MeteringError, UnavailableError, ValidationError

SQLITE_BUSY_TIMEOUT_MS = 10_000
"""How long SQLite waits for another process's lock before the transaction is given up."""
SQLITE_CACHE_KIB = 65_536
"""Page cache of the writer: holds the index pages of some millions of events."""
SQLITE_CHECKPOINT_PAGES = 8_000
"""Pages in the log after which the writer copies them into the database: 32 MiB."""
READER_CONNECTIONS_MAX = 8
POSTGRESQL_CONNECTIONS_MAX = 16
POSTGRESQL_LOCK_TIMEOUT_MS = 10_000
LOG_SECONDS = 10.0
"""How often the log says that the database cannot be used: every call of every agent meets it."""

log = structlog.get_logger(__name__)

_POSTGRESQL_BUSY_STATES = frozenset({"40001", "40P01", "55P03"})
_POSTGRESQL_FULL_STATES = frozenset({"53100"})


class Backend(Enum):
    """Which database it is, and whether it lives in memory."""

    SQLITE_FILE = "sqlite_file"
    SQLITE_MEMORY = "sqlite_memory"
    POSTGRESQL = "postgresql"


@dataclass(frozen=True, slots=True)
class Engines:
    """The connections of one database."""

    backend: Backend
    """Which database it is."""
    writer: Engine
    """For write transactions. On SQLite: one connection."""
    reader: Engine
    """For read transactions. In memory: the writer's engine."""

    def listening_connection(self) -> psycopg.Connection:
        """Opens a connection to PostgreSQL beside the pool, to wait for notifications."""
        url = self.writer.url.set(drivername="postgresql")
        return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)

    def dispose(self) -> None:
        """Closes every connection; the writer's last, because the last one checkpoints."""
        if self.reader is not self.writer:
            self.reader.dispose()
        self.writer.dispose()


def open_engines(database_url: str) -> Engines:
    """Opens the engines of a database; connects lazily.

    Args:
        database_url: `sqlite:///path/billing.db`, `sqlite://` (memory), or `postgresql://…`.

    Raises:
        ValidationError: DATABASE_URL_MALFORMED where it is none of these.
    """
    url = _parsed_url(database_url)
    if url.get_backend_name() == "postgresql":
        return _open_postgresql(url.set(drivername="postgresql+psycopg"))
    if url.get_backend_name() == "sqlite":
        return _open_memory(url) if not url.database else _open_sqlite_file(url)
    raise ValidationError(
        reason="DATABASE_URL_MALFORMED",
        message=(
            f"database-url: {url.get_backend_name()!r} is not a known database; "
            "use sqlite:///PATH or postgresql://USER@HOST/NAME"
        ),
    )


def error_from_database(error: Exception) -> ConflictError | UnavailableError | None:
    """Returns what a database error means to a caller, or None where it is a bug.

    A lock that was not had in time and a lost deadlock are DATABASE_BUSY: the whole transaction may
    be tried again. A full disk is DISK_FULL.

    Args:
        error: SQLAlchemy's, or the driver's own from a statement that went past SQLAlchemy.
    """
    original = error.orig if isinstance(error, DBAPIError) else error
    state = str(getattr(original, "sqlstate", None) or "")
    text = str(original)
    if state in _POSTGRESQL_BUSY_STATES or "database is locked" in text:
        return busy_error(text)
    if state in _POSTGRESQL_FULL_STATES or "database or disk is full" in text:
        return UnavailableError(
            reason="DISK_FULL",
            message="the database's disk is full: free space on it, then try again",
            retry_after_seconds=5,
        )
    if "file is not a database" in text or "disk image is malformed" in text:
        return UnavailableError(
            reason="DATABASE_DAMAGED",
            message="the database file is damaged or is no SQLite database: restore a backup, or "
            "name another file",
        )
    if _is_connection_error(original, state=state):
        return UnavailableError(
            reason="DATABASE_UNREACHABLE",
            message=f"the database does not answer: {text}",
            retry_after_seconds=1,
        )
    return None


def _is_connection_error(error: BaseException | None, *, state: str) -> bool:
    """Tells whether PostgreSQL could not be reached, or went away in the middle."""
    kind = type(error)
    is_stateless = kind.__module__.startswith("psycopg") and kind.__name__ == "OperationalError"
    return state.startswith(("08", "57P")) or (is_stateless and not state)


@contextmanager
def translated() -> Iterator[None]:
    """Turns errors of the database that a caller can act on into errors of the product."""
    try:
        yield
    except MeteringError:
        raise
    except Exception as error:
        known = error_from_database(error)
        if known is None:
            raise
        if isinstance(known, UnavailableError):
            _outages.tell(known)
        raise known from error


class _Outages:
    """Tells the operator, who otherwise would hear of a full disk from the agents alone."""

    def __init__(self) -> None:
        self._told_at: dict[str, float] = {}

    def tell(self, error: UnavailableError) -> None:
        now = time.monotonic()
        told_at = self._told_at.get(error.reason)
        if told_at is None or now - told_at >= LOG_SECONDS:
            self._told_at[error.reason] = now
            log.error("database_unavailable", reason=error.reason, error=error.message)


_outages = _Outages()


def busy_error(detail: str) -> ConflictError:
    """Returns the error of a transaction that waited too long for a lock."""
    return ConflictError(
        reason="DATABASE_BUSY",
        message=f"the database is busy; try again: {detail}",
        retry_after_seconds=0.5,
    )


def _parsed_url(database_url: str) -> URL:
    try:
        return make_url(database_url)
    except ArgumentError as error:
        raise ValidationError(
            reason="DATABASE_URL_MALFORMED",
            message="database-url: use sqlite:///PATH or postgresql://USER@HOST/NAME",
        ) from error


def _open_postgresql(url: URL) -> Engines:
    options = f"-c lock_timeout={POSTGRESQL_LOCK_TIMEOUT_MS} -c timezone=UTC"
    engine = create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_size=POSTGRESQL_CONNECTIONS_MAX,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args={"options": options},
    )
    # The same connections. Read committed would show each statement another state.
    reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return Engines(backend=Backend.POSTGRESQL, writer=engine, reader=reader)


def _open_memory(url: URL) -> Engines:
    engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    _prepare_sqlite(engine, begin="BEGIN IMMEDIATE", pragmas=("foreign_keys=ON",))
    return Engines(backend=Backend.SQLITE_MEMORY, writer=engine, reader=engine)


def _open_sqlite_file(url: URL) -> Engines:
    arguments = {"check_same_thread": False, "timeout": SQLITE_BUSY_TIMEOUT_MS / 1000}
    writer = create_engine(
        url, poolclass=QueuePool, pool_size=1, max_overflow=0, connect_args=arguments
    )
    _prepare_sqlite(
        writer,
        begin="BEGIN IMMEDIATE",
        pragmas=(
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"cache_size=-{SQLITE_CACHE_KIB}",
            "temp_store=MEMORY",
            f"wal_autocheckpoint={SQLITE_CHECKPOINT_PAGES}",
        ),
    )
    reader = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=READER_CONNECTIONS_MAX,
        max_overflow=0,
        connect_args=arguments,
    )
    _prepare_sqlite(reader, begin="BEGIN", pragmas=("wal_autocheckpoint=0", "query_only=ON"))
    return Engines(backend=Backend.SQLITE_FILE, writer=writer, reader=reader)


def _prepare_sqlite(engine: Engine, *, begin: str, pragmas: tuple[str, ...]) -> None:
    """Takes transactions out of the driver's hands and sets pragmas on every new connection."""

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)
