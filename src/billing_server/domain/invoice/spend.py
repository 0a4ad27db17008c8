"""What a plan asks of a whole billing period: its commitment and its minimum spend (R34).

The commitment looks at usage alone: below it, the rest is charged; what lies above it is charged
with the overage discount off. The minimum looks at every line whose service period lies in the
period, the commitment's among them, before coupons, tax and credits.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Final

from billing_server.domain.catalog.model import OneTimePrice, Plan
from billing_server.domain.invoice.lines import (
    ONE,
    BillingTerms,
    LineQuantities,
    invoiced_steps,
    make_line,
)
from billing_server.domain.invoice.model import USAGE_KINDS, InvoiceLine, LineKind
from billing_server.domain.invoice.spend_steps import (
    commitment_steps,
    minimum_steps,
    step_total,
)
from billing_server.domain.rating.price_model import ZERO, RatingStep
from billing_server.domain.rating.usage import WHOLE
from billing_server.domain.subscription.phase import Segment, spans_of
from billing_server.domain.subscription.timeline import Timeline
from billing_server.domain.tax.rate import NOT_TAXED, LineTax
from metering.money import Money, RatedAmount, round_line
from metering.period import Period

MINIMUM_KEY: Final = "minimum_spend"
COMMITMENT_KEY: Final = "commitment"
SPEND_KINDS: Final = frozenset({LineKind.MINIMUM, LineKind.ADJUSTMENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierLine:
    """A line of an earlier invoice whose service begins in the billing period."""

    charge_key: str
    """Of the line."""
    price: str
    """Key of the price."""
    kind: LineKind
    """What it charges."""
    sequence: int
    """Of its charge key, >= 0."""
    service_period: Period
    """When the service was given."""
    amount_minor: int
    """In the currency's minor unit."""
    tax: LineTax = NOT_TAXED
    """How it is taxed."""


def earlier_line(line: InvoiceLine) -> EarlierLine:
    """Returns what later invoices have to know of a line."""
    return EarlierLine(
        charge_key=line.charge_key,
        price=line.price,
        kind=line.kind,
        sequence=line.sequence,
        service_period=line.service_period,
        amount_minor=line.amount.amount_minor,
        tax=line.tax,
    )


@dataclass(frozen=True, slots=True)
class SpendInvoiced:
    """What earlier lines carry for the commitment or the minimum of a period."""

    amount_minor: int = 0
    """In all, in minor units; negative: a discount."""
    sequences: tuple[int, ...] = field(default=())
    """Of those lines."""
    tax: LineTax | None = None
    """How they are taxed, or, where there are none, the plan's other lines; None: no line is."""


def spend_lines(
    terms: BillingTerms,
    *,
    period: Period,
    lines: Sequence[InvoiceLine],
    earlier: Sequence[EarlierLine],
) -> list[InvoiceLine]:
    """Returns the lines of commitment and minimum, or what changes of them.

    Args:
        terms: of the subscription.
        period: a billing period that has come to its end, or is taken to end now.
        lines: those of the invoice that is made.
        earlier: those of earlier invoices whose service begins in the period.
    """
    timeline = terms.timeline
    if not has_spend_terms(timeline, period=period):
        return []
    inside = [line for line in lines if _lies_in(line.service_period, period=period)]
    earlier = [line for line in earlier if _lies_in(line.service_period, period=period)]
    plan = timeline.plan_at(period.start)
    committed = commitment_steps(
        timeline, period=period, usage=_usage(terms, lines=inside, earlier=earlier)
    )
    first = _spend_line(
        terms,
        key=COMMITMENT_KEY,
        description="Commitment",
        period=period,
        steps=committed,
        invoiced=_invoiced(earlier, key=COMMITMENT_KEY, plan=plan),
    )
    found = [] if first is None else [first]
    kinds = frozenset(LineKind) - SPEND_KINDS
    other = _sum(terms, lines=inside, earlier=earlier, kinds=kinds)
    spent = other + _rounded(terms, step_total(committed))
    second = _spend_line(
        terms,
        key=MINIMUM_KEY,
        description="Minimum spend",
        period=period,
        steps=minimum_steps(timeline, period=period, spent=spent),
        invoiced=_invoiced(earlier, key=MINIMUM_KEY, plan=plan),
    )
    return found if second is None else [*found, second]


def has_spend_terms(timeline: Timeline, *, period: Period) -> bool:
    """Tells whether a commitment or a minimum applies somewhere in a period."""
    return any(
        phase.plan.commitment is not None or phase.plan.minimum_spend is not None
        for phase, _ in spans_of(timeline.phases, period=period)
    )


def commitment_adjustment(
    timeline: Timeline, *, period: Period, usage: Mapping[datetime, Fraction]
) -> Fraction:
    """Returns what the commitment adds to the usage of a period, exact, in major units.

    Committed 1,000 with an overage discount of 0.2: usage of 700 gives +300, so that 1,000 are
    paid; usage of 1,500 gives −100, so that 1,400 are paid.

    Args:
        timeline: of the subscription.
        period: the billing period; each commitment counts by its share of it (R17).
        usage: by the start of its segment, what the usage of the period comes to, in major units.
    """
    return step_total(commitment_steps(timeline, period=period, usage=usage))


def minimum_shortfall(timeline: Timeline, *, period: Period, spent: Fraction) -> Fraction:
    """Returns what is missing to the plan's minimum, exact, in major units, >= 0 (R34).

    10,000 × 2/29 − 36.90 = 652.76 (rounded).

    Args:
        timeline: of the subscription.
        period: the billing period; each plan version counts by its share of it (R17).
        spent: what all lines of the period come to, in major units.
    """
    return step_total(minimum_steps(timeline, period=period, spent=spent))


def _usage(
    terms: BillingTerms, *, lines: Iterable[InvoiceLine], earlier: Iterable[EarlierLine]
) -> dict[datetime, Fraction]:
    """Returns what usage comes to by the start of its segment, in major units."""
    currency = terms.plan.currency
    minor: dict[datetime, int] = defaultdict(int)
    for line in (*map(earlier_line, lines), *earlier):
        if line.kind in USAGE_KINDS:
            minor[line.service_period.start] += line.amount_minor
    return {at: Fraction(Money(each, currency).decimal_string()) for at, each in minor.items()}


def _sum(
    terms: BillingTerms,
    *,
    lines: Iterable[InvoiceLine],
    earlier: Iterable[EarlierLine],
    kinds: frozenset[LineKind],
) -> Fraction:
    currency = terms.plan.currency
    total = sum((line.amount for line in lines if line.kind in kinds), Money.zero(currency))
    before = sum(line.amount_minor for line in earlier if line.kind in kinds)
    return Fraction((total + Money(before, currency)).decimal_string())


def _rounded(terms: BillingTerms, exact: Fraction) -> Fraction:
    return Fraction(round_line(RatedAmount(exact, terms.plan.currency)).decimal_string())


def _lies_in(span: Period, *, period: Period) -> bool:
    return period.start <= span.start and span.end <= period.end


def _invoiced(earlier: Sequence[EarlierLine], *, key: str, plan: Plan) -> SpendInvoiced:
    found = [line for line in earlier if line.price == key and line.kind in SPEND_KINDS]
    # A discount that first falls due with late usage has the rates of that usage's invoice (R76).
    price_keys = {price.key for price in plan.prices}
    taxed = found or [line for line in earlier if line.price in price_keys]
    return SpendInvoiced(
        sum(line.amount_minor for line in found),
        tuple(line.sequence for line in found),
        taxed[0].tax if taxed else None,
    )


def _spend_line(
    terms: BillingTerms,
    *,
    key: str,
    description: str,
    period: Period,
    steps: tuple[RatingStep, ...],
    invoiced: SpendInvoiced,
) -> InvoiceLine | None:
    """Returns the line of a difference to what is invoiced; None where there is none."""
    currency = terms.plan.currency
    exact = step_total(steps)
    whole = round_line(RatedAmount(exact, currency))
    before = Money(invoiced.amount_minor, currency)
    if whole == before:
        return None
    if invoiced.sequences:
        description += (
            f" ({whole.decimal_string()} for the whole period less {before.decimal_string()} "
            "invoiced)"
        )
    plan = terms.timeline.plan_at(period.start)
    price = _spend_price(plan, key=key)
    return make_line(
        terms,
        price_key=key,
        segment=Segment(price, 0, period, WHOLE, plan.version),
        kind=LineKind.ADJUSTMENT if whole.amount_minor < 0 else LineKind.MINIMUM,
        description=description,
        quantities=LineQuantities(ONE, ZERO, ONE),
        exact=exact - Fraction(before.decimal_string()),
        amount=whole - before,
        steps=(*steps, *invoiced_steps(before)),
        proration=WHOLE,
        sequence=max(invoiced.sequences, default=-1) + 1,
        tax=invoiced.tax,
    )


def _spend_price(plan: Plan, *, key: str) -> OneTimePrice:
    """Returns what is missing as a price: taxed as those of the plan, which are taxed alike."""
    own = plan.prices[0] if plan.prices else OneTimePrice(key=key, amount=ZERO)
    return OneTimePrice(
        key=key, amount=ZERO, tax_category=own.tax_category, tax_behavior=own.tax_behavior
    )
