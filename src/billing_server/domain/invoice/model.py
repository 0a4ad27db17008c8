"""Invoices and their lines as frozen values; the names are those of the invoice JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from billing_server.domain.rating.price_model import RatingStep
from billing_server.domain.tax.rate import NOT_TAXED, LineTax
from billing_server.domain.tax.taxing import TaxAmount
from metering.money import Exact, Money
from metering.period import Period


class InvoiceState(StrEnum):
    """Where an invoice stands; from `finalized` on its content never changes (R66)."""

    DRAFT = "draft"
    FINALIZED = "finalized"
    PAID = "paid"
    PARTIALLY_PAID = "partially_paid"
    UNCOLLECTIBLE = "uncollectible"
    VOID = "void"


class InvoiceReason(StrEnum):
    """Why an invoice was made; with its cause it makes the unique key of R67."""

    START = "start"
    PERIODIC = "periodic"
    CHANGE = "change"
    THRESHOLD = "threshold"
    TERMINATION = "termination"
    LATE = "late"
    MANUAL = "manual"


class LineKind(StrEnum):
    """What an invoice line charges."""

    RECURRING = "recurring"
    ONE_TIME = "one_time"
    USAGE = "usage"
    PRORATION_CREDIT = "proration_credit"
    PRORATION_CHARGE = "proration_charge"
    LATE_USAGE = "late_usage"
    MINIMUM = "minimum"
    PROGRESSIVE_OFFSET = "progressive_offset"
    ADJUSTMENT = "adjustment"


USAGE_KINDS: Final = frozenset({LineKind.USAGE, LineKind.LATE_USAGE})
"""What lines of usage are; in the content of an invoice they stand under the same names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """One amount for one price and one service period, rounded once (R41)."""

    id: str
    """Derived from the charge key, so that equal inputs give equal lines (R38)."""
    charge_key: str
    """Unique over all documents: an amount is invoiced once (R67)."""
    subscription: str
    """Id of the subscription that it belongs to."""
    price: str
    """Key of the price."""
    price_version: int
    """Version of the plan whose price was used (R37)."""
    segment: int = 0
    """Position of the segment in its period, from 0 (R17)."""
    sequence: int = 0
    """0; for late usage 1, 2, … in the order in which it was invoiced."""
    kind: LineKind
    """What it charges."""
    description: str
    """For people."""
    group: Mapping[str, str] = field(default_factory=dict)
    """Dimension values that the line stands for; empty: all."""
    service_period: Period
    """When the service was given: not when it is invoiced (R64)."""
    quantity: Exact
    """Units used, in the meter's unit; 1 for a fee."""
    included_quantity: Exact = Decimal(0)
    """Units of it that came off before the price model, in converted units where there are such."""
    billable_quantity: Exact
    """The (converted) quantity − included_quantity."""
    unit: str = ""
    """The meter's unit; empty for a fee."""
    amount: Money
    """Rounded half up from the exact amount."""
    amount_exact: Exact
    """In major units, before rounding."""
    steps: tuple[RatingStep, ...] = ()
    """How the exact amount came about; information (R41)."""
    proration: Fraction | None = None
    """Share of the whole period that was charged; None: all of it."""
    discount_share: Money
    """Part of the invoice's discounts that falls on this line; zero in this version."""
    tax: LineTax = NOT_TAXED
    """The tax rates on this line, copied (R74), and whether its amount has them inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpricedUsage:
    """Usage that matches no price: counted, rated 0 and shown (R32)."""

    meter: str
    """Key of the meter."""
    dimensions: Mapping[str, str]
    """Of the events."""
    quantity: Exact
    """In the meter's unit."""
    unit: str
    """The meter's unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """An invoice: draft or finalized. Amounts keep the identities of R45 to the cent."""

    id: str
    """`inv_…`; empty on a draft that is not stored."""
    number: str | None = None
    """Gap-free, given at finalization (R68); None on a draft."""
    state: InvoiceState = InvoiceState.DRAFT
    """Where it stands."""
    reason: InvoiceReason
    """Why it was made."""
    cause: str
    """What made it: subscription id, period start, … (R67)."""
    replaces: str | None = None
    """Id of the void invoice that it replaces."""
    customer_id: str
    """Who is charged."""
    subscription_id: str
    """What for."""
    currency: str
    """One for the whole invoice (R73)."""
    period: Period
    """The billing period that made it due; each line has its own service period."""
    issue_time: datetime | None = None
    """When it was finalized; None on a draft."""
    due_time: datetime | None = None
    """When it is to be paid; None on a draft."""
    seller: Mapping[str, str] = field(default_factory=dict)
    """The seller's details, copied at finalization (R74)."""
    customer_details: Mapping[str, str] = field(default_factory=dict)
    """The customer's details, copied at finalization (R74)."""
    inputs_sha256: str
    """Hash of all that the amounts depend on (R38)."""
    lines: tuple[InvoiceLine, ...]
    """In the order of the plan's prices, late usage last."""
    subtotal: Money
    """Σ line amounts."""
    discount: Money
    """Σ discounts; zero in this version."""
    tax: tuple[TaxAmount, ...] = ()
    """What each tax rate comes to, rounded once (R43)."""
    tax_total: Money
    """Σ tax on top of the lines; tax inside them stands in their amounts."""
    total: Money
    """subtotal − discount + tax_total, never below zero."""
    credit_notes_applied: Money
    """Zero in this version."""
    credits_applied: Money
    """Zero in this version."""
    amount_paid: Money
    """What was paid."""
    amount_due: Money
    """total − credit_notes_applied − credits_applied − amount_paid."""
    unpriced: tuple[UnpricedUsage, ...] = ()
    """On drafts only: usage that no price charges."""
