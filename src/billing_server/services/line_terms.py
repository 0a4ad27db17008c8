"""The terms behind a line of an invoice: its plan version, its price, its meter, its cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from billing_server.domain.catalog.model import Meter, Plan, Price, UsagePrice
from billing_server.domain.invoice.margin import LineMargin, Margin, line_margin, margin_of
from billing_server.domain.invoice.model import USAGE_KINDS, LineKind
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.model import AttachedAddon, Override
from billing_server.domain.subscription.phase import Segment
from billing_server.domain.subscription.timeline import Timeline
from billing_server.services.customer_terms import CustomerTerms
from billing_server.services.line_usage import LineScope
from metering.clock import parse_instant
from metering.money import Money
from metering.period import Period
from metering.quantity import plain_decimal

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LineTerms:
    """What a line was charged by."""

    plan: Plan
    """The plan version that the line names (R37)."""
    price: Price
    """Its price."""
    meter: Meter | None
    """What the price counts; None: it counts nothing."""
    share: Fraction = Fraction(1)
    """Of the line's service period in its whole period, in the plan's proration unit (R17)."""
    maximum_share: Fraction | None = None
    """What scales a maximum in the place of a share of nothing (`Segment.maximum_share`)."""
    addon: AttachedAddon | None = None
    """The add-on that the price is one of; None: the plan's own."""
    override: Override | None = None
    """The subscription's own terms that are in the price; None: as in the plan or add-on."""

    def scope_of(self, line: Json, *, number: str | None) -> LineScope | None:
        """Return which usage the line stands for; None where it stands for none.

        Args:
            line: in the JSON of the contract.
            number: of its invoice; None: the upcoming one.
        """
        if self.meter is None or line["kind"] not in USAGE_KINDS:
            return None
        return LineScope(
            subscription_id=line["subscription"],
            price_key=line["price"],
            meter=self.meter,
            segment=line["segment"],
            period=period_of(line["service_period"]),
            group=line["group"],
            is_late=line["kind"] == LineKind.LATE_USAGE,
            number=number,
        )


def find_line_terms(unit: UnitOfWork, *, terms: CustomerTerms, line: Json) -> LineTerms | None:
    """Return what a line was charged by; None where nothing of the catalog did.

    Args:
        unit: its reads see one state.
        terms: of the invoice's customer.
        line: in the JSON of the contract.
    """
    timeline = terms.timelines.get(line["subscription"])
    if timeline is None:
        return None
    # As it applied then: with the subscription's overrides and add-ons.
    plan: Plan | None = timeline.plan_at(period_of(line["service_period"]).start)
    if plan is not None and plan.version != line["price_version"]:
        plan = unit.catalog.plan(timeline.plan.key, version=line["price_version"])
    segment = _segment(timeline, line=line)
    price = _own_price(plan, line=line) if segment is None else segment.price
    if plan is None or price is None:
        return None
    meter = terms.meters.get(price.meter) if isinstance(price, UsagePrice) else None
    span = period_of(line["service_period"])
    return LineTerms(
        plan,
        price,
        meter,
        # A fee's period may be longer than the plan's: the line has its share.
        share_of(line) if meter is None else _share(timeline, segment=segment, span=span),
        None if segment is None else segment.maximum_share,
        _addon_of(unit, timeline=timeline, price_key=price.key, at=span.start),
        _override_of(timeline, price_key=price.key, at=span.start),
    )


def _share(timeline: Timeline, *, segment: Segment | None, span: Period) -> Fraction:
    return timeline.share_of(span) if segment is None else segment.share


def _addon_of(
    unit: UnitOfWork, *, timeline: Timeline, price_key: str, at: datetime
) -> AttachedAddon | None:
    for attached in timeline.subscription.addons_at(at):
        addon = unit.catalog.addon(attached.key, version=attached.version)
        if addon is not None and price_key in {price.key for price in addon.prices}:
            return attached
    return None


def _override_of(timeline: Timeline, *, price_key: str, at: datetime) -> Override | None:
    found = [
        each
        for each in timeline.subscription.overrides
        if each.price == price_key and each.start <= at
    ]
    return found[-1] if found and found[-1].fields else None


def margin_of_lines(
    lines: Sequence[Json], *, known: Sequence[LineTerms | None], currency: str
) -> Margin | None:
    """Return cost and margin of an invoice's usage; None where no cost is known.

    Args:
        lines: of one invoice.
        known: the terms of each of them.
        currency: of the invoice.
    """
    margins: list[LineMargin] = []
    unknown_count = 0
    for index, (line, terms) in enumerate(zip(lines, known, strict=True)):
        if line["kind"] not in USAGE_KINDS:
            continue
        price = None if terms is None else terms.price
        unit_cost = price.unit_cost if isinstance(price, UsagePrice) else None
        if unit_cost is None:
            unknown_count += 1
            continue
        margins.append(
            line_margin(
                index,
                quantity=Decimal(line["quantity"]),
                amount=Money.from_decimal_string(line["amount"], currency),
                unit_cost=unit_cost,
                share=share_of(line),
            )
        )
    return margin_of(margins, unknown_count=unknown_count, currency=currency)


def margin_to_dict(margin: Margin | None) -> dict[str, Any] | None:
    """Return cost and margin as plain values; None where no cost is known."""
    if margin is None:
        return None
    rate = margin.margin_rate
    return {
        "cost": margin.cost.decimal_string(),
        "charged": margin.amount.decimal_string(),
        "margin": margin.margin.decimal_string(),
        "margin_rate": None if rate is None else plain_decimal(rate, places=4),
        "lines_without_cost": margin.unknown_count,
        "lines": [
            {
                "line": each.line_index,
                "unit_cost": plain_decimal(each.unit_cost),
                "cost": each.cost.decimal_string(),
                "cost_exact": plain_decimal(each.cost_exact),
                "margin": each.margin.decimal_string(),
            }
            for each in margin.lines
        ],
    }


def share_of(line: Json) -> Fraction:
    """Return the share of its whole period that a line was charged for."""
    share = line["proration"]
    return Fraction(1) if share is None else Fraction(share["numerator"], share["denominator"])


def period_of(value: Json) -> Period:
    """Return a span of an invoice's JSON."""
    return Period(parse_instant(value["start"]), parse_instant(value["end"]))


def _segment(timeline: Timeline, *, line: Json) -> Segment | None:
    """Return the segment of a line, its price with overrides and add-ons in it.

    None where the subscription's terms of that time are no longer those that the line names.
    """
    at = period_of(line["service_period"]).start
    period = timeline.period_at(at)
    segment = None if period is None else timeline.segment_at(line["price"], period=period, at=at)
    is_same = segment is not None and segment.plan_version == line["price_version"]
    return segment if is_same else None


def _own_price(plan: Plan | None, *, line: Json) -> Price | None:
    """Return the price as it stands in a plan version."""
    prices = () if plan is None else plan.prices
    return next((price for price in prices if price.key == line["price"]), None)
