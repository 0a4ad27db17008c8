"""Invoice lines: one exact amount each, rounded once (R41), under one charge key (R67)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

from billing_server.domain.catalog.model import Meter, Plan, Price, RecurringPrice, UsagePrice
from billing_server.domain.invoice.fees import DueFee
from billing_server.domain.invoice.model import InvoiceLine, LineKind
from billing_server.domain.rating.exact import multiply, subtract
from billing_server.domain.rating.price_model import ZERO, RatingStep
from billing_server.domain.rating.usage import WHOLE, RatedUsage, rate_usage_price
from billing_server.domain.subscription.model import Customer
from billing_server.domain.subscription.phase import Segment
from billing_server.domain.subscription.timeline import Timeline
from metering.clock import format_instant
from metering.errors import InvariantError
from metering.money import Exact, Money, RatedAmount, round_line
from metering.period import Period
from metering.proration import prorate

ONE = Decimal(1)
_LINE_ID_DIGITS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingTerms:
    """All that the amounts of one subscription depend on, apart from its usage."""

    customer: Customer
    """Who is invoiced."""
    timeline: Timeline
    """The subscription, its plan version and its periods."""
    meters: Mapping[str, Meter]
    """By key; those that the plan's prices name."""
    seller: Mapping[str, str] = field(default_factory=dict)
    """The seller's details, copied onto the invoice."""

    @property
    def plan(self) -> Plan:
        """The plan version whose prices apply."""
        return self.timeline.plan

    def meter_of(self, price: UsagePrice) -> Meter:
        """Returns the meter of a price.

        Raises:
            InvariantError: METER_MISSING; `apply` lets no price name a meter that is not there.
        """
        meter = self.meters.get(price.meter)
        if meter is None:
            raise InvariantError(
                reason="METER_MISSING",
                message=f"price {price.key!r} of plan {self.plan.key!r} names meter "
                f"{price.meter!r}, which is not among the meters handed in",
            )
        return meter


class AlreadyInvoiced(Protocol):
    """What the lines of earlier invoices carry for one price in one period."""

    @property
    def quantity(self) -> Exact:
        """Units that they show in all, in the meter's unit."""

    @property
    def amount_minor(self) -> int:
        """What they charge in all, in minor units."""

    @property
    def late_sequence(self) -> int:
        """Highest sequence of their late lines; 0: none is late. The next one is one higher."""


def charge_key(
    *, subscription: str, price: str, period: Period, segment: int, kind: LineKind, sequence: int
) -> str:
    """Returns the key under which an amount is invoiced once (R67).

    It is readable and unambiguous: `sub-1|input|2026-03-01T00:00:00Z|0|usage|0`.
    """
    parts = (
        subscription,
        price,
        format_instant(period.start),
        str(segment),
        str(kind),
        str(sequence),
    )
    return "|".join(part.replace("%", "%25").replace("|", "%7C") for part in parts)


def sequence_of(key: str) -> int:
    """Returns the sequence that a charge key carries, >= 0."""
    return int(key.rpartition("|")[2])


def fee_line(terms: BillingTerms, *, fee: DueFee) -> InvoiceLine:
    """Returns the line of a fixed fee, prorated where its service period is short (R8, R46)."""
    price, share = fee.price, fee.segment.share
    per_unit = price.per_unit if isinstance(price, RecurringPrice) else None
    quantity = ONE if per_unit is None else _units(terms, price=price, per_unit=per_unit)
    whole = multiply(price.amount, quantity)
    exact: Exact = whole if share == WHOLE else prorate(whole, share=share)
    return make_line(
        terms,
        price_key=price.key,
        segment=fee.segment,
        kind=LineKind.RECURRING if isinstance(price, RecurringPrice) else LineKind.ONE_TIME,
        description=price.name or price.key,
        quantities=LineQuantities(quantity, ZERO, quantity),
        unit=per_unit or "",
        exact=exact,
        proration=share,
    )


def _units(terms: BillingTerms, *, price: Price, per_unit: str) -> Decimal:
    subscription = terms.timeline.subscription
    quantity = subscription.quantities.get(per_unit)
    if quantity is None:
        raise InvariantError(
            reason="QUANTITY_MISSING",
            message=f"price {price.key!r} is for each of {per_unit}, and subscription "
            f"{subscription.id!r} has no quantity {per_unit!r}",
        )
    return quantity


def usage_line(
    terms: BillingTerms, *, price: UsagePrice, segment: Segment, quantity: Exact
) -> InvoiceLine | None:
    """Returns the line of a usage price; None where nothing was used and nothing is charged (R27).

    Args:
        terms: of the subscription.
        price: that of the segment.
        segment: a span in which the price stands unchanged (R17).
        quantity: all that was used in it, in the meter's unit, >= 0.
    """
    rated = rate_segment(terms, price=price, segment=segment, quantity=quantity)
    if quantity == 0 and rated.amount_exact == 0:
        return None
    return make_line(
        terms,
        price_key=price.key,
        segment=segment,
        kind=LineKind.USAGE,
        description=price.name or price.key,
        quantities=LineQuantities.of(rated),
        unit=terms.meter_of(price).unit,
        exact=rated.amount_exact,
        steps=rated.steps,
        proration=rated.amount_share,
    )


def late_usage_line(
    terms: BillingTerms,
    *,
    price: UsagePrice,
    segment: Segment,
    quantity: Exact,
    invoiced: AlreadyInvoiced,
) -> InvoiceLine | None:
    """Returns the line of usage that was counted after its period was invoiced (R76).

    The whole segment is rated again and what was invoiced for it is taken off: so late usage costs
    what it would have cost in time, with the tiers and included units of its period. Its steps
    explain the whole; its quantities and its amount are the difference.

    Args:
        terms: of the subscription.
        price: that of the segment.
        segment: of the period in which the usage happened.
        quantity: all that was used in it, what was invoiced among it.
        invoiced: what earlier lines carry.

    Returns:
        None where nothing changed.
    """
    rated = rate_segment(terms, price=price, segment=segment, quantity=quantity)
    before = rate_segment(terms, price=price, segment=segment, quantity=invoiced.quantity)
    currency = terms.plan.currency
    whole = round_line(RatedAmount(rated.amount_exact, currency))
    amount = whole - Money(invoiced.amount_minor, currency)
    if quantity == invoiced.quantity and amount.amount_minor == 0:
        return None
    billed = Money(invoiced.amount_minor, currency).decimal_string()
    return make_line(
        terms,
        price_key=price.key,
        segment=segment,
        kind=LineKind.LATE_USAGE,
        description=(
            f"{price.name or price.key}: late usage "
            f"({whole.decimal_string()} for the whole period less {billed} invoiced)"
        ),
        quantities=LineQuantities.of(rated).less(LineQuantities.of(before)),
        unit=terms.meter_of(price).unit,
        exact=subtract(rated.amount_exact, Decimal(billed)),
        amount=amount,
        steps=rated.steps,
        proration=rated.amount_share,
        sequence=invoiced.late_sequence + 1,
    )


def rate_segment(
    terms: BillingTerms, *, price: UsagePrice, segment: Segment, quantity: Exact
) -> RatedUsage:
    """Rates the quantity of a segment with the share that it is of its whole period (R17)."""
    meter = terms.meter_of(price)
    return rate_usage_price(price, quantity=quantity, meter=meter, share=segment.share)


@dataclass(frozen=True, slots=True)
class LineQuantities:
    """The three quantities of a line."""

    quantity: Exact
    included: Exact
    billable: Exact

    @classmethod
    def of(cls, rated: RatedUsage) -> "LineQuantities":
        """Returns those of rated usage."""
        return cls(rated.quantity, rated.included_quantity, rated.billable_quantity)

    def less(self, other: "LineQuantities") -> "LineQuantities":
        """Returns the differences to others."""
        return LineQuantities(
            subtract(self.quantity, other.quantity),
            subtract(self.included, other.included),
            subtract(self.billable, other.billable),
        )


def make_line(
    terms: BillingTerms,
    *,
    price_key: str,
    segment: Segment,
    kind: LineKind,
    description: str,
    quantities: LineQuantities,
    exact: Exact,
    proration: Fraction,
    unit: str = "",
    steps: tuple[RatingStep, ...] = (),
    amount: Money | None = None,
    sequence: int = 0,
) -> InvoiceLine:
    """Returns a line; its amount is the exact one rounded here, unless it is a difference."""
    subscription, currency = terms.timeline.subscription, terms.plan.currency
    key = charge_key(
        subscription=subscription.id,
        price=price_key,
        period=segment.span,
        segment=segment.index,
        kind=kind,
        sequence=sequence,
    )
    return InvoiceLine(
        id=f"line_{hashlib.sha256(key.encode()).hexdigest()[:_LINE_ID_DIGITS]}",
        charge_key=key,
        subscription=subscription.id,
        price=price_key,
        price_version=segment.plan_version,
        segment=segment.index,
        sequence=sequence,
        kind=kind,
        description=description,
        service_period=segment.span,
        quantity=quantities.quantity,
        included_quantity=quantities.included,
        billable_quantity=quantities.billable,
        unit=unit,
        amount=round_line(RatedAmount(exact, currency)) if amount is None else amount,
        amount_exact=exact,
        steps=steps,
        proration=None if proration == WHOLE else proration,
        discount_share=Money.zero(currency),
    )
