"""The port of a transaction: everything in it happens, or nothing."""

from contextlib import AbstractContextManager
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
from billing_server.domain.ports.usage import UsageRepository


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
    def alerts(self) -> AlertRepository:
        """What somebody has to look at."""

    @property
    def events(self) -> EventReader:
        """Events read back."""

    @property
    def usage(self) -> UsageRepository:
        """Events, buckets and running charges."""


class Store(Protocol):
    """A database with its schema in place."""

    def read(self) -> AbstractContextManager[UnitOfWork]:
        """Open a transaction that sees one state of the database and changes nothing."""

    def write(self) -> AbstractContextManager[UnitOfWork]:
        """Open a transaction: kept at the end of the block, undone on an error."""
