"""The port of invoices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from billing_server.domain.invoice.model import Invoice
from billing_server.domain.invoice.spend import EarlierLine
from billing_server.domain.rating.assignment import UsageKey
from metering.period import Period

InvoiceContent = dict[str, Any]
"""An issued invoice as the JSON of the API: what was written is what is shown, for ever."""


@dataclass(frozen=True, slots=True)
class InvoiceFilter:
    """Which invoices a list holds; unset fields hold all."""

    customer_id: str | None = None
    """Invoices of one customer."""
    subscription_id: str | None = None
    """Invoices of one subscription."""
    state: str | None = None
    """Invoices in one state."""
    reason: str | None = None
    """Invoices made for one reason."""


@dataclass(frozen=True, slots=True)
class InvoicedGroup:
    """What has been invoiced for one group of a segment of a usage price, over all documents."""

    quantity: Decimal
    """Quantity that its lines show in all, in the meter's unit."""
    amount_minor: int
    """Amount in all, in the currency's minor unit."""


@dataclass(frozen=True, slots=True)
class InvoicedUsage:
    """What has been invoiced for a segment of one usage price, over all documents."""

    quantity: Decimal
    """Quantity that the documents show in all, in the meter's unit."""
    amount_minor: int
    """Amount in all, in the currency's minor unit."""
    late_sequence: int
    """Highest sequence of the late lines among them; 0: none is late. >= 0."""
    groups: Mapping[str, InvoicedGroup] = field(default_factory=dict)
    """The same by group, as canonical JSON; empty: no line stands for a group."""


class InvoiceRepository(Protocol):
    """Issued invoices. An invoice is written once, with its number, and never changes (R66)."""

    def take_number(self) -> str:
        """Take the next number of the series, gap-free (R68).

        The row of the series is locked, and a roll-back frees the number again.

        Returns:
            Such as `INV-000001`.
        """

    def add(self, invoice: Invoice, *, content: InvoiceContent, create_time: datetime) -> None:
        """Write an invoice with its lines.

        Args:
            invoice: finalized, with its number.
            content: its JSON.
            create_time: when it was made.

        Raises:
            ConflictError: INVOICE_EXISTS, a document that is not void carries the same customer,
                subscription, reason and cause, or a line the same charge key (R67).
        """

    def exists(self, *, customer_id: str, subscription_id: str, reason: str, cause: str) -> bool:
        """Tell whether a document that is not void carries this key (R67)."""

    def get(self, invoice_id: str) -> InvoiceContent | None:
        """Return an invoice by id."""

    def by_number(self, number: str) -> InvoiceContent | None:
        """Return an invoice by number."""

    def page(
        self, wanted: InvoiceFilter, *, after: str | None, limit: int
    ) -> tuple[InvoiceContent, ...]:
        """Return up to `limit` invoices in the order of issue, those after the number `after`."""

    def invoiced_usage(
        self, *, subscription_id: str, period: Period
    ) -> dict[UsageKey, InvoicedUsage]:
        """Return what documents that are not void carry for the usage of one period."""

    def lines_in(self, *, subscription_id: str, period: Period) -> tuple[EarlierLine, ...]:
        """Return the lines of documents that are not void whose service begins in a period."""

    def has_any(self, customer_id: str) -> bool:
        """Tell whether a customer was ever invoiced: its currency is fixed then (R73)."""
