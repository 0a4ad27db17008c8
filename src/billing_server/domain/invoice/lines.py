"""Invoice lines: one exact amount each, rounded once (R41), under one charge key (R67)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction

from billing_server.domain.catalog.model import Meter, Plan, TierScope, UsagePrice
from billing_server.domain.catalog.serialize import canonical_json
from billing_server.domain.invoice.group_lines import allocated, group_weights, part_of
from billing_server.domain.invoice.line_tax import catalog_tax
from billing_server.domain.invoice.model import InvoiceLine, LineKind
from billing_server.domain.rating.exact import subtract
from billing_server.domain.rating.price_model import RatingStep, StepKind
from billing_server.domain.rating.segment_usage import (
    GroupUsage,
    SegmentUsage,
    Used,
    quantity_used,
    segment_usage,
)
from billing_server.domain.rating.usage import WHOLE, RatedUsage, usage_terms
from billing_server.domain.subscription.model import Customer
from billing_server.domain.subscription.phase import Segment
from billing_server.domain.subscription.timeline import Timeline
from billing_server.domain.tax.rate import LineTax, TaxRate
from metering.clock import format_instant
from metering.errors import InvariantError
from metering.money import Exact, Money, RatedAmount, round_line
from metering.period import Period

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
    tax_rates: tuple[TaxRate, ...] = ()
    """Of the catalog; those of other countries may be left out."""

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


def charge_key(
    *,
    subscription: str,
    price: str,
    period: Period,
    segment: int,
    kind: LineKind,
    sequence: int,
    group: Mapping[str, str] | None = None,
) -> str:
    """Returns the key under which an amount is invoiced once (R67).

    It is readable and unambiguous: `sub-1|input|2026-03-01T00:00:00Z|0|usage|0`; of a group, its
    values stand before the sequence.
    """
    parts = (
        subscription,
        price,
        format_instant(period.start),
        str(segment),
        str(kind),
        *(() if not group else (canonical_json(dict(group)),)),
        str(sequence),
    )
    return "|".join(part.replace("%", "%25").replace("|", "%7C") for part in parts)


def sequence_of(key: str) -> int:
    """Returns the sequence that a charge key carries, >= 0."""
    return int(key.rpartition("|")[2])


def usage_lines(
    terms: BillingTerms, *, price: UsagePrice, segment: Segment, used: Used
) -> list[InvoiceLine]:
    """Returns the lines of a usage price: one, or one a group; none where nothing is to be told.

    Where nothing was used and nothing is charged there is no line (R27).

    Args:
        terms: of the subscription.
        price: that of the segment.
        segment: a span in which the price stands unchanged (R17).
        used: all that was used in it.
    """
    usage = segment_usage(used)
    if not usage.groups:
        line = _usage_line(terms, price=price, segment=segment, usage=usage)
        return [] if line is None else [line]
    if price.group_tiers is TierScope.SHARED:
        return _shared_lines(terms, price=price, segment=segment, usage=usage)
    found = [
        _usage_line(terms, price=price, segment=segment, usage=_alone(group), group=group.group)
        for group in usage.groups
    ]
    return [line for line in found if line is not None]


def _alone(group: GroupUsage) -> SegmentUsage:
    return SegmentUsage(group.quantity, group.events)


def _usage_line(
    terms: BillingTerms,
    *,
    price: UsagePrice,
    segment: Segment,
    usage: SegmentUsage,
    group: Mapping[str, str] | None = None,
) -> InvoiceLine | None:
    rated = rate_segment(terms, price=price, segment=segment, used=usage)
    if usage.quantity == 0 and rated.amount_exact == 0:
        return None
    return make_line(
        terms,
        price_key=price.key,
        segment=segment,
        kind=LineKind.USAGE,
        description=price_description(price, group),
        quantities=LineQuantities.of(rated),
        unit=terms.meter_of(price).unit,
        exact=rated.amount_exact,
        steps=rated.steps,
        proration=rated.amount_share,
        group=group,
    )


def _shared_lines(
    terms: BillingTerms, *, price: UsagePrice, segment: Segment, usage: SegmentUsage
) -> list[InvoiceLine]:
    """Returns a line a group, of an amount that is rated once, on all of them together."""
    rated = rate_segment(terms, price=price, segment=segment, used=usage)
    if usage.quantity == 0 and rated.amount_exact == 0:
        return []
    whole = round_line(RatedAmount(rated.amount_exact, terms.plan.currency))
    return [
        make_line(
            terms,
            price_key=price.key,
            segment=segment,
            kind=LineKind.USAGE,
            description=f"{price_description(price, group.group)} "
            f"(its part of {whole.decimal_string()} for all)",
            quantities=LineQuantities(
                group.quantity,
                part_of(rated.included_quantity, weight),
                part_of(rated.billable_quantity, weight),
            ),
            unit=terms.meter_of(price).unit,
            exact=part_of(rated.amount_exact, weight),
            amount=amount,
            steps=_part_steps(rated, group, weight),
            proration=rated.amount_share,
            group=group.group,
        )
        for group, weight, amount in zip(
            usage.groups,
            group_weights(usage.groups),
            allocated(whole, groups=usage.groups),
            strict=True,
        )
    ]


def _part_steps(rated: RatedUsage, group: GroupUsage, weight: Fraction) -> tuple[RatingStep, ...]:
    """Returns the steps of the whole and the one that leaves a group's part of it.

    That step goes from the quantity of the group to that of all groups.
    """
    less = subtract(part_of(rated.amount_exact, weight), rated.amount_exact)
    if not less:
        return rated.steps
    step = RatingStep.lump(StepKind.GROUP, less)
    if weight and group.quantity > 0:
        total = Fraction(group.quantity) / weight
        step = replace(step, from_quantity=group.quantity, to_quantity=total)
    return (*rated.steps, step)


def invoiced_steps(before: Money) -> tuple[RatingStep, ...]:
    """Returns the step that takes off what earlier invoices charge; none where it is nothing."""
    if before.amount_minor == 0:
        return ()
    return (RatingStep.lump(StepKind.INVOICED, -Decimal(before.decimal_string())),)


def price_description(price: UsagePrice, group: Mapping[str, str] | None) -> str:
    """Returns what a usage line is called: the price, and the values of its group."""
    name = price.name or price.key
    values = ", ".join(f"{key} {value or '(none)'}" for key, value in (group or {}).items())
    return f"{name}: {values}" if values else name


def rate_segment(
    terms: BillingTerms, *, price: UsagePrice, segment: Segment, used: Used
) -> RatedUsage:
    """Rates the usage of a segment with the share that it is of its whole period (R17)."""
    compiled = usage_terms(
        price,
        meter=terms.meter_of(price),
        share=segment.share,
        maximum_share=segment.maximum_share,
    )
    if compiled.is_rated_by_event:
        return compiled.explain_events(segment_usage(used).events)
    return compiled.explain(quantity_used(used))


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
    group: Mapping[str, str] | None = None,
    tax: LineTax | None = None,
) -> InvoiceLine:
    """Returns a line; its amount is the exact one rounded here, unless it is a difference.

    It is taxed as the catalog says, unless it belongs to an invoice that is there already.
    """
    subscription, currency = terms.timeline.subscription, terms.plan.currency
    if tax is None:
        tax = catalog_tax(
            terms.tax_rates, customer=terms.customer, price=segment.price, service=segment.span
        )
    key = charge_key(
        subscription=subscription.id,
        price=price_key,
        period=segment.span,
        segment=segment.index,
        kind=kind,
        sequence=sequence,
        group=group,
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
        group=dict(group or {}),
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
        tax=tax,
    )
