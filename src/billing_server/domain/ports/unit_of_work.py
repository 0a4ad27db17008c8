"""The port of a transaction: everything in it happens, or nothing."""

from contextlib import AbstractContextManager
from enum import Enum
from typing import Protocol

from billing_server.domain.ports.administration import (
    ApiKeyRepository,
    ClockRepository,
    IdempotencyRepository,
)
from billing_server.domain.ports.agents import AgentRepository
from billing_server.domain.ports.alerts import AlertRepository
from billing_server.domain.ports.catalog import CatalogRepository
from billing_server.domain.ports.customers import (
    BillingPeriodRepository,
    CustomerRepository,
    SubscriptionRepository,
)
from billing_server.domain.ports.events import EventReader
from billing_server.domain.ports.invoices import InvoiceRepository
from billing_server.domain.ports.join_tokens import JoinTokenRepository
from billing_server.domain.ports.late_facts import LateFactRepository
from billing_server.domain.ports.limits import (
    AuditRepository,
    LeaseRepository,
    LimitRepository,
)
from billing_server.domain.ports.news import LeaseNews
from billing_server.domain.ports.usage import UsageRepository
from billing_server.domain.ports.usage_facts import UsageFactRepository
from billing_server.domain.ports.usage_scan import SeriesSums, UsageScan


class Urgency(Enum):
    """Which write transactions are let in first where a database has one writer."""

    NORMAL = "normal"
    URGENT = "urgent"
    """Answers about quota: a caller waits, and the backlog of events does not mind."""


class UnitOfWork(Protocol):
    """The repositories of one transaction."""

    @property
    def catalog(self) -> CatalogRepository:
        """Meters and plans."""

    @property
    def customers(self) -> CustomerRepository:
        """Customers."""

    @property
    def subscriptions(self) -> SubscriptionRepository:
        """Subscriptions."""

    @property
    def billing_periods(self) -> BillingPeriodRepository:
        """Billing periods."""

    @property
    def invoices(self) -> InvoiceRepository:
        """Issued invoices."""

    @property
    def api_keys(self) -> ApiKeyRepository:
        """API keys."""

    @property
    def idempotency(self) -> IdempotencyRepository:
        """Remembered requests."""

    @property
    def clock(self) -> ClockRepository:
        """The clock of a test database."""

    @property
    def agents(self) -> AgentRepository:
        """Agents and their positions."""

    @property
    def join_tokens(self) -> JoinTokenRepository:
        """Tokens by which hosts enroll themselves."""

    @property
    def alerts(self) -> AlertRepository:
        """What somebody has to look at."""

    @property
    def events(self) -> EventReader:
        """Events read back."""

    @property
    def usage(self) -> UsageRepository:
        """Events, buckets and running charges."""

    @property
    def usage_scan(self) -> UsageScan:
        """All usage, window by window."""

    @property
    def late_facts(self) -> LateFactRepository:
        """What was counted after its period was invoiced."""

    @property
    def usage_facts(self) -> UsageFactRepository:
        """Readings, events by time, corrections and adjustments."""

    @property
    def limits(self) -> LimitRepository:
        """Accounts of limits, thresholds and balances."""

    @property
    def leases(self) -> LeaseRepository:
        """Leases, and what agents want and were told."""

    @property
    def audit(self) -> AuditRepository:
        """What was done by whom."""


class Store(Protocol):
    """A database with its schema in place."""

    def read(self) -> AbstractContextManager[UnitOfWork]:
        """Open a transaction that sees one state of the database and changes nothing."""

    def write(self, *, urgency: Urgency = Urgency.NORMAL) -> AbstractContextManager[UnitOfWork]:
        """Open a transaction: kept at the end of the block, undone on an error."""

    def series_sums(self) -> AbstractContextManager[SeriesSums]:
        """Open a place for the sums of one check; what is in it goes with the block."""

    @property
    def news(self) -> LeaseNews:
        """What wakes syncs that wait for news."""
