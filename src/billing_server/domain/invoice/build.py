"""Invoices as pure functions of terms and usage: equal inputs give equal invoices (R38)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from billing_server.domain.invoice.draft import make_draft
from billing_server.domain.invoice.fee_lines import fee_line
from billing_server.domain.invoice.fees import fees_due
from billing_server.domain.invoice.late import LatePeriod, check_usage_keys, late_lines
from billing_server.domain.invoice.lines import BillingTerms, usage_lines
from billing_server.domain.invoice.model import (
    Invoice,
    InvoiceLine,
    InvoiceReason,
    UnpricedUsage,
)
from billing_server.domain.invoice.spend import EarlierLine, earlier_line, spend_lines
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.rating.price_model import ZERO
from billing_server.domain.rating.segment_usage import Used
from metering.clock import format_instant
from metering.period import Period


@dataclass(frozen=True, slots=True)
class InvoiceBuild:
    """A draft, and what could not stand on it."""

    invoice: Invoice | None
    """The draft; None where there is no line: such an invoice is not issued (R69)."""
    held_back: tuple[InvoiceLine, ...] = field(default=())
    """Late differences below zero. They are found again at the next build, until usage or a
    correction makes up for them: nothing is lost by leaving them out."""


def build_start(terms: BillingTerms, *, earlier: Sequence[EarlierLine] = ()) -> InvoiceBuild:
    """Builds the invoice of a subscription's start: what falls due with it.

    Args:
        terms: of the subscription.
        earlier: lines of earlier invoices; what they charge is not charged again (R67).
    """
    timeline = terms.timeline
    start, charged = timeline.subscription.start, {line.charge_key for line in earlier}
    lines = [fee_line(terms, fee=fee) for fee in fees_due(timeline, start=start, until=start)]
    lines = [line for line in lines if line.charge_key not in charged]
    if not lines:
        return InvoiceBuild(None)
    draft = make_draft(
        terms,
        reason=InvoiceReason.START,
        cause=timeline.subscription.id,
        period=timeline.first_period(),
        lines=lines,
    )
    return InvoiceBuild(draft)


def build_periodic(
    terms: BillingTerms,
    *,
    period: Period,
    quantities: Mapping[UsageKey, Used],
    late: Sequence[LatePeriod] = (),
    earlier: Sequence[EarlierLine] | None = None,
) -> InvoiceBuild:
    """Builds the invoice of a period: its usage and arrears, and the next fees in advance (R63).

    Args:
        terms: of the subscription.
        period: of the subscription's timeline.
        quantities: by price and segment, the period's usage in the meter's unit; absent: none.
        late: earlier periods with late usage (R76), oldest first.
        earlier: lines of earlier invoices whose service begins in the period; None: what fell due
            at its start, by the terms.
    """
    known = earlier_lines(terms, period=period) if earlier is None else earlier
    lines, held_back = _periodic_lines(
        terms, period=period, quantities=quantities, late=late, earlier=known
    )
    if not lines:
        return InvoiceBuild(None, held_back)
    draft = make_draft(
        terms,
        reason=InvoiceReason.PERIODIC,
        cause=format_instant(period.start),
        period=period,
        lines=lines,
        quantities=quantities,
        late=late,
        earlier=known,
    )
    return InvoiceBuild(draft, held_back)


def build_upcoming(
    terms: BillingTerms,
    *,
    period: Period,
    quantities: Mapping[UsageKey, Used],
    late: Sequence[LatePeriod] = (),
    earlier: Sequence[EarlierLine] | None = None,
    unpriced: Sequence[UnpricedUsage] = (),
) -> Invoice:
    """Builds the draft of a period that still runs: `build_periodic` and what is unpriced.

    Lines and totals are made by the same functions, so that running and final amounts cannot
    differ. A draft without lines is shown all the same.

    Args:
        terms: of the subscription.
        period: of the subscription's timeline.
        quantities: by price and segment, the period's usage so far in the meter's unit.
        late: earlier periods with late usage (R76), oldest first.
        earlier: as for `build_periodic`.
        unpriced: usage of the period that no price charges (R32).
    """
    known = earlier_lines(terms, period=period) if earlier is None else earlier
    lines, _ = _periodic_lines(
        terms, period=period, quantities=quantities, late=late, earlier=known
    )
    return make_draft(
        terms,
        reason=InvoiceReason.PERIODIC,
        cause=format_instant(period.start),
        period=period,
        lines=lines,
        quantities=quantities,
        late=late,
        earlier=known,
        unpriced=unpriced,
    )


def build_late(terms: BillingTerms, *, late: LatePeriod, sequence: int) -> InvoiceBuild:
    """Builds an invoice of late usage alone, for when no periodic one is due soon (R76).

    Args:
        terms: of the subscription.
        late: the period with late usage.
        sequence: 1 for the period's first late invoice, then 2, ….

    Returns:
        No invoice where the late usage costs nothing.
    """
    lines, held_back = late_lines(terms, late=[late])
    if all(line.amount.amount_minor == 0 for line in lines):
        return InvoiceBuild(None, held_back)
    draft = make_draft(
        terms,
        reason=InvoiceReason.LATE,
        cause=f"{format_instant(late.period.start)}+{sequence}",
        period=late.period,
        lines=lines,
        late=[late],
        earlier=late.earlier,
    )
    return InvoiceBuild(draft, held_back)


def earlier_lines(terms: BillingTerms, *, period: Period) -> tuple[EarlierLine, ...]:
    """Returns what stands on earlier invoices for a period, going by the terms alone.

    Args:
        terms: of the subscription.
        period: of the subscription's timeline, without an invoice yet.
    """
    due = fees_due(terms.timeline, start=period.start, until=period.start)
    lines = [fee_line(terms, fee=fee) for fee in due]
    return tuple(earlier_line(line) for line in lines if line.service_period.start == period.start)


def _periodic_lines(
    terms: BillingTerms,
    *,
    period: Period,
    quantities: Mapping[UsageKey, Used],
    late: Sequence[LatePeriod],
    earlier: Sequence[EarlierLine],
) -> tuple[list[InvoiceLine], tuple[InvoiceLine, ...]]:
    check_usage_keys(terms, period=period, quantities=quantities)
    order = {key: position for position, key in enumerate(terms.timeline.price_keys)}
    charges = [
        *_fee_lines(terms, period=period, earlier=earlier),
        *_usage_lines(terms, period=period, quantities=quantities),
    ]
    lines = sorted(charges, key=lambda line: order[line.price])
    spend = spend_lines(terms, period=period, lines=lines, earlier=earlier)
    late_found, held_back = late_lines(terms, late=late)
    return [*lines, *spend, *late_found], held_back


def _fee_lines(
    terms: BillingTerms, *, period: Period, earlier: Sequence[EarlierLine]
) -> list[InvoiceLine]:
    """Returns the fees that fell due in a period and at its end.

    What fell due at its very start stands on an earlier invoice, unless it came too late for that
    one: an add-on that was added in the minute of the start.
    """
    charged = {line.charge_key for line in earlier}
    lines = []
    for fee in fees_due(terms.timeline, start=period.start, until=period.end):
        line = fee_line(terms, fee=fee)
        begins_here = line.service_period.start == period.start
        if fee.due_time > period.start or (begins_here and line.charge_key not in charged):
            lines.append(line)
    return lines


def _usage_lines(
    terms: BillingTerms, *, period: Period, quantities: Mapping[UsageKey, Used]
) -> list[InvoiceLine]:
    return [
        line
        for price, segment in terms.timeline.usage_segments(period)
        for line in usage_lines(
            terms, price=price, segment=segment, used=quantities.get(UsageKey.of(segment), ZERO)
        )
    ]
