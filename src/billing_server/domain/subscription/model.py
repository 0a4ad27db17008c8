"""Customers and subscriptions: plain facts, without rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing_server.domain.catalog.limit import Limit
from billing_server.domain.tax.rate import TaxExemption


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
    """ISO 3166 code, copied onto invoices; empty: unknown, and no tax is charged."""
    region: str = ""
    """Part of the country in which it is taxed, such as a state; empty: none is told."""
    tax_exempt: TaxExemption = TaxExemption.NONE
    """Whether it is charged tax."""
    tax_id: str = ""
    """Copied onto invoices; empty: none."""
    email: str = ""
    """Where documents go; empty: nowhere."""
    purchase_order: str = ""
    """The customer's own reference, copied onto invoices; empty: none."""
    limits: tuple[Limit, ...] | None = None
    """Its own limits, beside and before those of its plans. None: not said, those that are there
    stay."""

    @property
    def is_tax_exempt(self) -> bool:
        """Whether it is charged no tax."""
        return self.tax_exempt is not TaxExemption.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionMove:
    """A subscription comes onto another version of its plan."""

    start: datetime
    """From when on, UTC, on a whole minute."""
    version: int
    """Of the plan, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Some fields of a price differ for a subscription."""

    start: datetime
    """From when on, UTC, on a whole minute."""
    price: str
    """Key of the price."""
    fields: Mapping[str, object]
    """In the form of a catalog file, in place of those of an earlier override of the price; empty:
    the plan's terms again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedAddon:
    """A subscription has the prices of an add-on for a while."""

    key: str
    """Of the add-on."""
    version: int
    """Of the add-on, from 1; later versions do not touch it."""
    start: datetime
    """From when on, UTC, on a whole minute."""
    end: datetime | None = None
    """UTC, on a whole minute, exclusive; None: as long as the subscription."""

    def applies_at(self, instant: datetime) -> bool:
        """Tells whether the add-on's prices apply at an instant."""
        return self.start <= instant and (self.end is None or instant < self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One customer on one plan, from a start to an optional end, with what changed meanwhile."""

    id: str
    """1..128 bytes, unique in the deployment."""
    customer_id: str
    """Who is invoiced for it."""
    plan_key: str
    """The plan subscribed to."""
    plan_version: int
    """The version that it started on, from 1; later ones do not touch it until it moves (R37)."""
    start: datetime
    """UTC, on a whole minute; usage before it is not billed by it (R21)."""
    end: datetime | None = None
    """UTC, on a whole minute, exclusive; None: open."""
    anchor: datetime | None = None
    """UTC instant from which periods count; None: as the plan's anchor says (R9)."""
    quantities: Mapping[str, Decimal] = field(default_factory=dict)
    """Quantities that fees are for each unit of, such as seats."""
    moves: tuple[VersionMove, ...] = ()
    """Moves to other versions after the start, in order of time."""
    overrides: tuple[Override, ...] = ()
    """Overrides of prices, in order of time."""
    addons: tuple[AttachedAddon, ...] = ()
    """Add-ons, in order of their start."""
    price_starts: Mapping[str, datetime] = field(default_factory=dict)
    """By price: the instant before which it charges no usage, for prices that were added to the
    version while the subscription ran. UTC, a period's start; absent: none (R32)."""

    def version_at(self, instant: datetime) -> int:
        """Returns the plan version at an instant; before the start, the first one."""
        version = self.plan_version
        for move in self.moves:
            if move.start > instant:
                break
            version = move.version
        return version

    @property
    def versions(self) -> frozenset[int]:
        """Every plan version that it is on at some time."""
        return frozenset((self.plan_version, *(move.version for move in self.moves)))

    def addons_at(self, instant: datetime) -> tuple[AttachedAddon, ...]:
        """Returns the add-ons that apply at an instant."""
        return tuple(addon for addon in self.addons if addon.applies_at(instant))

    def overrides_at(self, instant: datetime) -> dict[str, dict[str, object]]:
        """Returns the fields that differ at an instant, by price."""
        found = {
            override.price: dict(override.fields)
            for override in self.overrides
            if override.start <= instant
        }
        return {price: fields for price, fields in found.items() if fields}

    @property
    def changes(self) -> tuple[datetime, ...]:
        """The instants after the start at which its prices may change, in order of time."""
        instants = {
            *self.price_starts.values(),
            *(move.start for move in self.moves),
            *(override.start for override in self.overrides),
            *(addon.start for addon in self.addons),
            *(addon.end for addon in self.addons if addon.end is not None),
        }
        return tuple(sorted(instant for instant in instants if instant > self.start))
