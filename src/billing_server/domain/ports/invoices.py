"""The port of invoices."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from billing_server.domain.invoice.model import Invoice


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


class InvoiceRepository(Protocol):
    """Issued invoices. An invoice is written once, with its number, and never changes (R66)."""

    def take_number(self) -> str:
        """Take the next number of the series, gap-free (R68).

        The row of the series is locked, and a roll-back frees the number again.

        Returns:
            Such as `INV-000001`.
        """

    def add(self, invoice: Invoice, *, cause: str) -> None:
        """Write an invoice with its lines.

        Raises:
            ConflictError: an invoice of the same customer, subscription, reason and cause, or a
                line of the same charge key is there already (R67).
        """

    def exists(self, *, customer_id: str, subscription_id: str, reason: str, cause: str) -> bool:
        """Tell whether a document that is not void carries this key (R67)."""

    def get(self, invoice_id: str) -> Invoice | None:
        """Return an invoice by id."""

    def by_number(self, number: str) -> Invoice | None:
        """Return an invoice by number."""

    def page(self, wanted: InvoiceFilter, *, after: str | None, limit: int) -> tuple[Invoice, ...]:
        """Return up to `limit` invoices by number, those after the number `after`."""

    def charge_keys(self, *, subscription_id: str, period_start: datetime) -> Sequence[str]:
        """Return the charge keys of all lines whose service period starts at an instant."""

    def invoiced_usage(
        self, *, subscription_id: str, period_start: datetime
    ) -> dict[str, "InvoicedUsage"]:
        """Return what documents that are not void carry for the usage of one period, by price."""


@dataclass(frozen=True, slots=True)
class InvoicedUsage:
    """What has been invoiced for one usage price in one period, over all documents."""

    price_key: str
    """The price."""
    quantity: str
    """Quantity that the documents show in all, a decimal string."""
    amount_minor: int
    """Amount in all, in the currency's minor unit."""
    line_count: int
    """Number of lines, which is the sequence of the next one. >= 1."""
