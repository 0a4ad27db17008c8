"""The ports of customers, their subscriptions and the billing periods of those."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Protocol

from billing_server.domain.subscription.model import Customer, Subscription
from metering.period import Period


class BillingPeriodState(StrEnum):
    """Whether the usage of a period still stands on no invoice."""

    RUNNING = "running"
    INVOICED = "invoiced"


class StartInvoice(Enum):
    """Whether fees in advance have to be invoiced when a subscription starts."""

    DUE = "due"
    NOT_DUE = "not_due"


@dataclass(frozen=True, slots=True)
class SubscriptionPeriod:
    """One period of a subscription, as it is kept."""

    subscription_id: str
    """Whose period it is."""
    customer_id: str
    """Customer of the subscription."""
    period: Period
    """From its start to its end, half-open."""
    state: BillingPeriodState
    """Running until its invoice is issued."""
    has_late_usage: bool
    """Whether usage was counted after the invoice was issued (R76)."""


@dataclass(frozen=True, slots=True)
class DueKey:
    """Where a walk over due work has come to: later work is strictly after it."""

    due_time: datetime
    """Instant at which the work became due."""
    subscription_id: str
    """Tie-break among work that is due at the same instant."""


class CustomerRepository(Protocol):
    """Customers by id. Each carries a revision that advances with every change of its terms."""

    def get(self, customer_id: str) -> Customer | None:
        """Return a customer."""

    def add(self, customer: Customer, *, create_time: datetime) -> None:
        """Write a new customer."""

    def update(self, customer: Customer, *, update_time: datetime) -> None:
        """Write the changed details of a customer and advance its revision."""

    def lock(self, customer_ids: Sequence[str]) -> None:
        """Hold customers until the end of the unit of work, in sorted order."""

    def revisions(self, customer_ids: Collection[str]) -> dict[str, int]:
        """Return the revision of each customer that exists; holds nothing."""

    def advance_revision(self, customer_id: str) -> None:
        """Mark the terms of a customer as changed, so that compiled copies are thrown away."""

    def page(self, *, after: str | None, limit: int) -> tuple[Customer, ...]:
        """Return up to `limit` customers by id, those after `after`."""


class SubscriptionRepository(Protocol):
    """Subscriptions by id."""

    def get(self, subscription_id: str) -> Subscription | None:
        """Return a subscription."""

    def add(
        self, subscription: Subscription, *, create_time: datetime, start_invoice: StartInvoice
    ) -> None:
        """Write a new subscription.

        Args:
            subscription: its start is floored to the minute.
            create_time: when the server heard of it.
            start_invoice: whether fees in advance wait to be invoiced at the start.
        """

    def of_customer(self, customer_id: str) -> tuple[Subscription, ...]:
        """Return the subscriptions of a customer by start, then id."""

    def page(
        self, *, after: str | None, limit: int, customer_id: str | None = None
    ) -> tuple[Subscription, ...]:
        """Return up to `limit` subscriptions by id, those after `after`."""

    def starts_due(
        self, *, until: datetime, after: DueKey | None, limit: int
    ) -> tuple[Subscription, ...]:
        """Return subscriptions whose start invoice is due, by start, then id."""

    def on_plan(self, plan_key: str, *, after: str | None, limit: int) -> tuple[Subscription, ...]:
        """Return up to `limit` subscriptions of a plan by id, those after `after`."""

    def update_history(self, changed: Subscription, *, update_time: datetime) -> None:
        """Write what changed in a subscription: versions, overrides, add-ons, quantities.

        Args:
            changed: the subscription with its changes.
            update_time: now.
        """

    def is_start_invoice_due(self, subscription_id: str) -> bool:
        """Tell whether the start invoice of a subscription has still to be issued."""

    def clear_start_invoice(self, subscription_id: str) -> None:
        """Note that the start invoice has been issued."""

    def next_start_due(self, *, after: datetime) -> datetime | None:
        """Return the earliest start after an instant whose invoice has still to be issued."""


class BillingPeriodRepository(Protocol):
    """Billing periods by subscription and start."""

    def get(self, subscription_id: str, *, start: datetime) -> SubscriptionPeriod | None:
        """Return a period."""

    def add(self, subscription_period: SubscriptionPeriod) -> None:
        """Write a new period; one that is there already is left as it is."""

    def running(self, subscription_id: str) -> tuple[SubscriptionPeriod, ...]:
        """Return the running periods of a subscription, oldest first."""

    def mark_invoiced(self, subscription_id: str, *, start: datetime, close_time: datetime) -> None:
        """Note that the period's invoice has been issued."""

    def due(
        self, *, ended_until: datetime, after: DueKey | None, limit: int
    ) -> tuple[SubscriptionPeriod, ...]:
        """Return running periods that ended at or before an instant, by end, then subscription."""

    def invoiced_until(self, subscription_id: str) -> datetime | None:
        """Return the end of a subscription's last invoiced period; None where there is none."""

    def next_end(self, *, after: datetime) -> datetime | None:
        """Return the earliest end, after an instant, of a running period."""

    def with_late_usage(self, subscription_id: str) -> tuple[SubscriptionPeriod, ...]:
        """Return the invoiced periods of a subscription that have late usage, oldest first."""

    def clear_late_usage(self, subscription_id: str, *, start: datetime) -> None:
        """Note that the late usage of a period stands on an invoice."""
