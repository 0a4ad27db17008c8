"""One transaction with its repositories: what is written in it becomes visible together."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from billing_server.domain.ports.unit_of_work import Urgency
from billing_server.store.administration_repository import (
    SqlApiKeyRepository,
    SqlClockRepository,
    SqlIdempotencyRepository,
)
from billing_server.store.billing_period_repository import SqlBillingPeriodRepository
from billing_server.store.catalog_repository import SqlCatalogRepository
from billing_server.store.customer_repository import SqlCustomerRepository
from billing_server.store.engine import (
    SQLITE_BUSY_TIMEOUT_MS,
    Backend,
    Engines,
    busy_error,
    open_engines,
    translated,
)
from billing_server.store.invoice_repository import SqlInvoiceRepository
from billing_server.store.subscription_repository import SqlSubscriptionRepository
from billing_server.store.write_gate import WriteGate

if TYPE_CHECKING:
    from billing_server.store.agent_repository import SqlAgentRepository
    from billing_server.store.alert_repository import SqlAlertRepository
    from billing_server.store.audit_repository import SqlAuditRepository
    from billing_server.store.event_repository import SqlEventReader
    from billing_server.store.join_token_repository import SqlJoinTokenRepository
    from billing_server.store.late_fact_repository import SqlLateFactRepository
    from billing_server.store.lease_repository import SqlLeaseRepository
    from billing_server.store.limit_repository import SqlLimitRepository
    from billing_server.store.news import NewsBoard
    from billing_server.store.series_sums import SqliteSeriesSums
    from billing_server.store.usage_fact_repository import SqlUsageFactRepository
    from billing_server.store.usage_repository import SqlUsageRepository
    from billing_server.store.usage_scan import SqlUsageScan

MEMORY_URL = "sqlite://"


class SqlUnitOfWork:
    """The repositories of one transaction. Lives as long as its `with` block."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.announced: set[str] = set()

    @cached_property
    def catalog(self) -> SqlCatalogRepository:
        """Meters and plans."""
        return SqlCatalogRepository(self.connection)

    @cached_property
    def customers(self) -> SqlCustomerRepository:
        """Customers."""
        return SqlCustomerRepository(self.connection)

    @cached_property
    def subscriptions(self) -> SqlSubscriptionRepository:
        """Subscriptions."""
        return SqlSubscriptionRepository(self.connection)

    @cached_property
    def billing_periods(self) -> SqlBillingPeriodRepository:
        """Billing periods."""
        return SqlBillingPeriodRepository(self.connection)

    @cached_property
    def invoices(self) -> SqlInvoiceRepository:
        """Issued invoices."""
        return SqlInvoiceRepository(self.connection)

    @cached_property
    def api_keys(self) -> SqlApiKeyRepository:
        """API keys."""
        return SqlApiKeyRepository(self.connection)

    @cached_property
    def idempotency(self) -> SqlIdempotencyRepository:
        """Remembered requests."""
        return SqlIdempotencyRepository(self.connection)

    @cached_property
    def clock(self) -> SqlClockRepository:
        """The clock that this database runs on."""
        return SqlClockRepository(self.connection)

    @cached_property
    def agents(self) -> "SqlAgentRepository":
        """Agents and their positions."""
        from billing_server.store.agent_repository import SqlAgentRepository

        return SqlAgentRepository(self.connection)

    @cached_property
    def join_tokens(self) -> "SqlJoinTokenRepository":
        """Tokens by which hosts enroll themselves."""
        from billing_server.store.join_token_repository import SqlJoinTokenRepository

        return SqlJoinTokenRepository(self.connection)

    @cached_property
    def alerts(self) -> "SqlAlertRepository":
        """What somebody has to look at."""
        from billing_server.store.alert_repository import SqlAlertRepository

        return SqlAlertRepository(self.connection)

    @cached_property
    def events(self) -> "SqlEventReader":
        """Events read back."""
        from billing_server.store.event_repository import SqlEventReader

        return SqlEventReader(self.connection)

    @cached_property
    def usage(self) -> "SqlUsageRepository":
        """Events, buckets and running charges."""
        from billing_server.store.usage_repository import SqlUsageRepository

        return SqlUsageRepository(self.connection)

    @cached_property
    def usage_scan(self) -> "SqlUsageScan":
        """All usage, window by window."""
        from billing_server.store.usage_scan import SqlUsageScan

        return SqlUsageScan(self.connection)

    @cached_property
    def usage_facts(self) -> "SqlUsageFactRepository":
        """Readings, events by time, corrections and adjustments."""
        from billing_server.store.usage_fact_repository import SqlUsageFactRepository

        return SqlUsageFactRepository(self.connection)

    @cached_property
    def late_facts(self) -> "SqlLateFactRepository":
        """What was counted after its period was invoiced."""
        from billing_server.store.late_fact_repository import SqlLateFactRepository

        return SqlLateFactRepository(self.connection)

    @cached_property
    def limits(self) -> "SqlLimitRepository":
        """Accounts of limits, thresholds and balances."""
        from billing_server.store.limit_repository import SqlLimitRepository

        return SqlLimitRepository(self.connection)

    @cached_property
    def leases(self) -> "SqlLeaseRepository":
        """Leases, and what agents want and were told."""
        from billing_server.store.lease_repository import SqlLeaseRepository

        return SqlLeaseRepository(self.connection, announced=self.announced)

    @cached_property
    def audit(self) -> "SqlAuditRepository":
        """What was done by whom."""
        from billing_server.store.audit_repository import SqlAuditRepository

        return SqlAuditRepository(self.connection)


class SqlStore:
    """A database with its schema in place.

    SQLite has one writer: write transactions of this process queue at a lock and not in SQLite,
    whose waiting is unfair. PostgreSQL has as many writers as connections.
    """

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._gate: WriteGate | None = None
        if engines.backend is not Backend.POSTGRESQL:
            self._gate = WriteGate()
        self._writing_thread: int | None = None
        self._memory_unit: SqlUnitOfWork | None = None

    @property
    def backend(self) -> Backend:
        """Which database it is."""
        return self._engines.backend

    @contextmanager
    def write(self, *, urgency: Urgency = Urgency.NORMAL) -> Iterator[SqlUnitOfWork]:
        """Runs a write transaction: committed at the end of the block, rolled back on an error.

        Args:
            urgency: where there is one writer, urgent transactions go first.

        Raises:
            ConflictError: DATABASE_BUSY where the lock was not had in time.
            UnavailableError: DISK_FULL, DATABASE_UNREACHABLE.
        """
        with self._gated(urgency), translated(), self._engines.writer.begin() as connection:
            unit = SqlUnitOfWork(connection)
            self._memory_unit = unit
            try:
                yield unit
            finally:
                self._memory_unit = None
        if unit.announced:
            self.news.publish(sorted(unit.announced))

    @contextmanager
    def read(self) -> Iterator[SqlUnitOfWork]:
        """Runs a read transaction that sees one state of the database.

        In memory there is one connection: a read inside a write of the same thread shares it.
        """
        if self._engines.backend is not Backend.SQLITE_MEMORY:
            with translated(), self._engines.reader.connect() as connection:
                yield SqlUnitOfWork(connection)
            return
        with self._gated_read():
            if self._memory_unit is not None:
                yield self._memory_unit
                return
            with translated(), self._engines.reader.connect() as connection:
                yield SqlUnitOfWork(connection)

    def series_sums(self) -> AbstractContextManager["SqliteSeriesSums"]:
        """Opens a place for the sums of one check; what is in it goes with the block."""
        from billing_server.store.series_sums import open_series_sums

        return open_series_sums()

    @cached_property
    def news(self) -> "NewsBoard":
        """What wakes syncs that wait for news."""
        from billing_server.store.news import NewsBoard, PostgresqlNewsBoard

        if self._engines.backend is Backend.POSTGRESQL:
            return PostgresqlNewsBoard(self._engines.listening_connection)
        return NewsBoard()

    def close(self) -> None:
        """Closes every connection."""
        if "news" in self.__dict__:
            self.news.close()
        self._engines.dispose()

    @contextmanager
    def _gated(self, urgency: Urgency) -> Iterator[None]:
        if self._gate is None:
            yield
            return
        if self._writing_thread == threading.get_ident():
            raise RuntimeError("a write transaction inside another one of the same thread")
        if not self._gate.acquire(urgency=urgency, timeout=SQLITE_BUSY_TIMEOUT_MS / 1000):
            raise busy_error("another write transaction of this server takes too long")
        self._writing_thread = threading.get_ident()
        try:
            yield
        finally:
            self._writing_thread = None
            self._gate.release()

    @contextmanager
    def _gated_read(self) -> Iterator[None]:
        gate = self._gate
        seconds = SQLITE_BUSY_TIMEOUT_MS / 1000
        if gate is None or not gate.acquire(urgency=Urgency.NORMAL, timeout=seconds):
            raise busy_error("another transaction of this server takes too long")
        try:
            yield
        finally:
            gate.release()


def open_store(database_url: str) -> SqlStore:
    """Opens a database, bringing its schema up to this program's version first.

    Raises:
        ValidationError: DATABASE_URL_MALFORMED.
        InvalidStateError: DATABASE_NEWER where a newer program has written it.
    """
    from billing_server.store.migrate import prepare_schema

    engines = open_engines(database_url)
    try:
        with translated():
            prepare_schema(engines)
    except BaseException:
        engines.dispose()
        raise
    return SqlStore(engines)
