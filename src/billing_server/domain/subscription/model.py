"""Customers and subscriptions: plain facts, without rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing_server.domain.catalog.limit import Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Who is invoiced."""

    id: str
    """1..128 bytes; the customer id that usage events carry."""
    name: str = ""
    """For people; the id where empty."""
    currency: str | None = None
    """ISO 4217 code; None: that of the first plan the customer subscribes to (R73)."""
    timezone: str = "UTC"
    """IANA name of the billing zone in which period boundaries are computed (R2)."""
    country: str = ""
    """ISO 3166 code, copied onto invoices; empty: unknown."""
    tax_id: str = ""
    """Copied onto invoices; empty: none."""
    email: str = ""
    """Where documents go; empty: nowhere."""
    purchase_order: str = ""
    """The customer's own reference, copied onto invoices; empty: none."""
    limits: tuple[Limit, ...] | None = None
    """Its own limits, beside and before those of its plans. None: not said, those that are there
    stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One customer on one version of one plan, from a start to an optional end."""

    id: str
    """1..128 bytes, unique in the deployment."""
    customer_id: str
    """Who is invoiced for it."""
    plan_key: str
    """The plan subscribed to."""
    plan_version: int
    """The version whose prices apply, from 1; later versions do not touch it (R37)."""
    start: datetime
    """UTC, on a whole minute; usage before it is not billed by it (R21)."""
    end: datetime | None = None
    """UTC, on a whole minute, exclusive; None: open."""
    anchor: datetime | None = None
    """UTC instant from which periods count; None: as the plan's anchor says (R9)."""
    quantities: Mapping[str, Decimal] = field(default_factory=dict)
    """Quantities set on the subscription, such as seats; empty in this version."""
    price_starts: Mapping[str, datetime] = field(default_factory=dict)
    """By price: the instant before which it charges no usage, for prices that were added to the
    version while the subscription ran. UTC, a period's start; absent: none (R32)."""
