"""Meters, plans and prices as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from billing_server.domain.catalog.limit import Limit
from billing_server.domain.rating.adjustments import Discount
from billing_server.domain.rating.conversion import Conversion
from billing_server.domain.rating.price_model import ZERO, PriceModel
from billing_server.domain.subscription.model import Customer
from billing_server.domain.tax.rate import TaxBehavior, TaxRate
from metering.period import PeriodUnit
from metering.proration import ProrationUnit


class Aggregation(StrEnum):
    """How the values of many events become the quantity of a period."""

    SUM = "sum"
    """The sum of the values."""
    COUNT = "count"
    """How many events carried the quantity."""
    MAX = "max"
    """The largest value."""
    LATEST = "latest"
    """The value of the last event by (event time, event id)."""
    AVERAGE = "average"
    """The sum of the values divided by their number."""
    UNIQUE_COUNT = "unique_count"
    """How many different values a dimension had."""
    TIME_WEIGHTED = "time_weighted"
    """Each event sets a level that holds until the next; levels are weighted by time (R19)."""

    @property
    def is_additive(self) -> bool:
        """Whether quantities of adjoining spans add up; others scale their amount (R17)."""
        return self in _ADDITIVE

    @property
    def is_summed(self) -> bool:
        """Whether the values of events are added up; others keep one value, a set or levels."""
        return self in _SUMMED


_ADDITIVE: Final = frozenset({Aggregation.SUM, Aggregation.COUNT, Aggregation.TIME_WEIGHTED})
_SUMMED: Final = frozenset({Aggregation.SUM, Aggregation.COUNT, Aggregation.AVERAGE})


class BillTiming(StrEnum):
    """Whether a recurring fee is invoiced before or after its service period."""

    IN_ADVANCE = "in_advance"
    IN_ARREARS = "in_arrears"


class AnchorMode(StrEnum):
    """Where the boundaries of billing periods come from (R9)."""

    ANNIVERSARY = "anniversary"
    CALENDAR = "calendar"
    DAY = "day"
    WEEKDAY = "weekday"
    MONTH_DAY = "month_day"


@dataclass(frozen=True, slots=True)
class Anchor:
    """A plan's anchor: the mode and, for a fixed day, which day."""

    mode: AnchorMode = AnchorMode.ANNIVERSARY
    """How the first boundary is found."""
    day: int = 0
    """1..31 for DAY and MONTH_DAY (31: the last); 1 (Monday)..7 for WEEKDAY; else 0."""
    month: int = 0
    """1..12 for MONTH_DAY; else 0."""


@dataclass(frozen=True, slots=True)
class BillingPeriod:
    """The length of a billing period: `every` times `unit`."""

    unit: PeriodUnit = PeriodUnit.MONTH
    """Calendar unit."""
    every: int = 1
    """How many units, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """What is counted: one quantity of usage events, folded by one aggregation."""

    key: str
    """Unique name, 1..64 bytes."""
    unit: str = "unit"
    """For people, in the singular."""
    aggregation: Aggregation = Aggregation.SUM
    """How values are folded."""
    decimals: int = 0
    """Digits after the point that are kept, 0..9; more in an event is QUANTITY_TOO_PRECISE."""
    quantity: str
    """Which of the event's quantities it reads; a count counts the events that carry it. Empty,
    for a unique count alone: it looks at every event."""
    of: str = ""
    """The dimension whose different values a unique count counts; empty for the others."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Dimension values that an event must carry to be counted; empty: all events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringPrice:
    """A fixed fee for every billing period."""

    key: str
    """Unique in the plan, 1..64 bytes."""
    amount: Decimal
    """Fee of one whole period in major units of the plan's currency, >= 0."""
    bill: BillTiming = BillTiming.IN_ADVANCE
    """Before or after the service period."""
    billing_period: BillingPeriod | None = None
    """Length of its own periods, such as a year in a plan of months; None: the plan's."""
    per_unit: str | None = None
    """Quantity of the subscription, such as seats, that the fee is for each unit of; None: for
    the subscription."""
    name: str = ""
    """For invoices; the key where empty."""
    tax_category: str = ""
    """What kind of goods it is for tax rates, such as saas; empty: none is told."""
    tax_behavior: TaxBehavior = TaxBehavior.EXCLUSIVE
    """Whether its amounts have their tax inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTimePrice:
    """A fee that is charged once, at the start, and never prorated (R62)."""

    key: str
    """Unique in the plan, 1..64 bytes."""
    amount: Decimal
    """In major units of the plan's currency, >= 0."""
    name: str = ""
    """For invoices; the key where empty."""
    tax_category: str = ""
    """What kind of goods it is for tax rates, such as saas; empty: none is told."""
    tax_behavior: TaxBehavior = TaxBehavior.EXCLUSIVE
    """Whether its amounts have their tax inside."""


class Proratable(StrEnum):
    """A term of a usage price that a segment shorter than its period may scale (R17)."""

    INCLUDED = "included"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"


class TierScope(StrEnum):
    """What the tiers of a price with `group_by` count."""

    SHARED = "shared"
    """The usage of all groups together."""
    PER_GROUP = "per_group"
    """The usage of each group for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePrice:
    """A price on a meter, for the events that match it. Modifiers act in the order of R33."""

    key: str
    """Unique in the plan, 1..64 bytes."""
    meter: str
    """Key of the meter that is priced."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Dimension values to match; the price with the most matched keys wins (R32)."""
    group_by: tuple[str, ...] = ()
    """Dimensions each of whose values has a line of its own; empty: one line for all."""
    group_tiers: TierScope = TierScope.SHARED
    """What the tiers count where there are groups."""
    convert: Conversion | None = None
    """What is done to the quantity first; None: it is priced in the meter's unit."""
    included: Decimal = ZERO
    """Units that come off before the model, >= 0, in converted units where there are such (R30)."""
    model: PriceModel
    """From the rest to an amount."""
    charge_flat_at_zero: bool = False
    """Whether the model's first flat price is charged without usage as well (R27)."""
    discount: Discount | None = None
    """Taken off the model's amount; None: nothing is."""
    maximum: Decimal | None = None
    """Most that a period costs, major units, >= 0; None: no most."""
    minimum: Decimal = ZERO
    """Least that a period costs, usage or not, major units, >= 0 (R34)."""
    prorate: frozenset[Proratable] = frozenset(Proratable)
    """Which terms a segment shorter than its period scales (R17)."""
    estimate_unit_price: Decimal | None = None
    """What a hard money limit takes a unit to cost before it is rated; None: worked out."""
    name: str = ""
    """For invoices; the key where empty."""
    unit_cost: Decimal | None = None
    """What one used unit costs the seller, in major units, >= 0; None: not known. Charges nothing:
    margins are shown from it, never on the customer's invoice."""
    tax_category: str = ""
    """What kind of goods it is for tax rates, such as saas; empty: none is told."""
    tax_behavior: TaxBehavior = TaxBehavior.EXCLUSIVE
    """Whether its amounts have their tax inside."""


Price = RecurringPrice | OneTimePrice | UsagePrice


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """What a customer commits to spend on usage in every period."""

    amount: Decimal
    """Of one whole period, major units, > 0: usage that comes to less is made up to it."""
    overage_discount: Decimal = ZERO
    """Part of what lies above the amount that is taken off, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Running amounts at which progressive invoices are made: kept, and not acted on yet."""

    steps: tuple[Decimal, ...] = ()
    """Ascending, major units, > 0."""
    every: Decimal | None = None
    """Distance of steps without end, major units, > 0; None: `steps` are all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One version of a plan: immutable once applied."""

    key: str
    """Unique name, 1..64 bytes; shared by the versions."""
    version: int = 0
    """From 1; 0: as read from a file, not applied yet."""
    name: str = ""
    """For invoices; the key where empty."""
    currency: str
    """ISO 4217 code of all its prices (R73)."""
    billing_period: BillingPeriod = BillingPeriod()
    """How long one billing period is."""
    anchor: Anchor = Anchor()
    """Where the period boundaries lie."""
    proration: ProrationUnit = ProrationUnit.SECOND
    """Unit in which a share of a period is counted."""
    effective_from: datetime | None = None
    """UTC instant from which the version is on offer; None in a file: when applied."""
    minimum_spend: Decimal | None = None
    """Least that one whole period comes to, major units; what is missing is charged (R34)."""
    commitment: Commitment | None = None
    """What is committed for usage; None: nothing."""
    thresholds: Thresholds | None = None
    """Reserved for progressive invoices; None: none."""
    prices: tuple[Price, ...] = ()
    """In the order of the file, which is the order of invoice lines."""
    limits: tuple[Limit, ...] = ()
    """What a customer of the plan may use, in the order of the file."""

    @property
    def usage_prices(self) -> tuple[UsagePrice, ...]:
        """The prices on meters."""
        return tuple(price for price in self.prices if isinstance(price, UsagePrice))


@dataclass(frozen=True, slots=True, kw_only=True)
class Addon:
    """One version of an add-on: prices that a subscription may have beside its plan's."""

    key: str
    """Unique name, 1..64 bytes; shared by the versions."""
    version: int = 0
    """From 1; 0: as read from a file, not applied yet."""
    name: str = ""
    """For people; the key where empty."""
    currency: str | None = None
    """ISO 4217 code of its prices; None: that of the plan it is added to."""
    prices: tuple[Price, ...] = ()
    """In the order of the file; their keys differ from those of the plans it is added to."""

    @property
    def usage_prices(self) -> tuple[UsagePrice, ...]:
        """The prices on meters."""
        return tuple(price for price in self.prices if isinstance(price, UsagePrice))


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionEntry:
    """A subscription as a catalog file asks for it."""

    id: str
    """Unique in the deployment."""
    customer_id: str
    """Who subscribes."""
    plan_key: str
    """To what; the version on offer at the start."""
    start: datetime | None = None
    """UTC; None: when applied."""
    anchor: datetime | None = None
    """UTC; None: as the plan's anchor says."""
    quantities: Mapping[str, Decimal] = field(default_factory=dict)
    """Quantities that fees are for each unit of, such as seats."""
    overrides: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """By price: the fields that differ for this subscription, in the form of a catalog file."""
    addons: tuple[str, ...] = ()
    """Keys of the add-ons that it starts with."""
    emptied: frozenset[str] = field(default=frozenset(), compare=False)
    """Which of `overrides` and `addons` the file carries without content: all are to end. Left
    out, they stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """Meters and plans, as a whole."""

    meters: tuple[Meter, ...] = ()
    """In the order of the file."""
    plans: tuple[Plan, ...] = ()
    """In the order of the file; of several versions of a key, all that are given."""
    addons: tuple[Addon, ...] = ()
    """In the order of the file."""
    tax_rates: tuple[TaxRate, ...] = ()
    """In the order of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogFile(Catalog):
    """All that a catalog file may hold."""

    customers: tuple[Customer, ...] = ()
    """Customers to create or update."""
    subscriptions: tuple[SubscriptionEntry, ...] = ()
    """Subscriptions to start."""
