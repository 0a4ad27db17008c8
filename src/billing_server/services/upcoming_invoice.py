"""The upcoming invoice of a customer: what it would be as of now, from running charges."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from billing_server.domain.invoice.build import build_upcoming, earlier_lines
from billing_server.domain.invoice.draft import customer_details
from billing_server.domain.invoice.late import LatePeriod
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.invoice.model import Invoice, InvoiceReason, UnpricedUsage
from billing_server.domain.invoice.serialize import invoice_to_dict, line_to_dict
from billing_server.domain.invoice.spend import EarlierLine
from billing_server.domain.ports.invoices import InvoiceContent
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.rating.segment_usage import Used
from billing_server.domain.subscription.timeline import Timeline
from billing_server.domain.tax.taxing import merged_amounts
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import CustomerTerms, load_customer_terms
from billing_server.services.estimate_period import (
    PeriodEstimate,
    estimate_period,
    estimate_to_dict,
)
from billing_server.services.late_usage import find_late_periods, held_back_lines
from billing_server.services.line_terms import find_line_terms, margin_of_lines, margin_to_dict
from billing_server.services.open_periods import open_periods
from billing_server.services.period_usage import fold_unpriced
from billing_server.services.running_usage import levels_until_end, running_quantities
from metering.money import Money
from metering.period import Period, PeriodUnit, calendar_cycle

ALL_SUBSCRIPTIONS = "all"
CURRENCY_OF_NOTHING = "USD"
"""Shapes the zeros of a customer without a currency; it is not shown."""


def upcoming_invoice(
    context: ServiceContext, *, customer_id: str, subscription_id: str | None = None
) -> InvoiceContent:
    """Draft what a customer would be invoiced for the present periods, as of now.

    The same functions build the final invoice: running and final amounts cannot differ.

    Args:
        context: the world.
        customer_id: whose invoice.
        subscription_id: only this subscription; None: all of the customer's together.

    Returns:
        The invoice's JSON with `unpriced`, usage that no price charges (R32), and `closing`, one
        draft for each period that has ended and is not invoiced yet (R75), oldest first. Usage of
        a period stands in one of them. Beside them `estimate`, what the running periods come to
        at their ends, `margin`, what the usage costs the seller, and `held_back`, lines that would
        lower the invoice for usage of invoiced periods that was taken back (R76).

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND.
    """
    with context.store.read() as unit:
        terms = load_customer_terms(unit, customer_id=customer_id)
        now = context.clock.now()
        current: list[Invoice] = []
        closing: list[Invoice] = []
        estimates: list[PeriodEstimate] = []
        for each in terms.timelines:
            if subscription_id in {None, each}:
                drafts = _drafts(unit, terms=terms, subscription_id=each, now=now)
                closing += [draft.invoice for draft in drafts[:-1]]
                current += [draft.invoice for draft in drafts[-1:]]
                estimates += _estimates(unit, terms=terms, drafts=drafts, now=now)
        span = _span_of(context, terms=terms, drafts=current)
        unpriced = fold_unpriced(unit, terms=terms, period=span, at=now)
        ended = [
            replace(draft, unpriced=fold_unpriced(unit, terms=terms, period=draft.period))
            for draft in sorted(closing, key=lambda draft: (draft.period.end, draft.cause))
        ]
        if current:
            shown = invoice_to_dict(replace(_merged(current), unpriced=unpriced))
        else:
            shown = _nothing_upcoming(terms, span=span, unpriced=unpriced)
        margin = _margin(unit, terms=terms, shown=shown)
        held_back = [
            line_to_dict(line)
            for each in terms.timelines
            if subscription_id in {None, each}
            for line in held_back_lines(unit, terms=terms, subscription_id=each)
        ]
    return {
        **shown,
        "closing": [invoice_to_dict(draft) for draft in ended],
        "estimate": estimate_to_dict(estimates, now=now),
        "margin": margin,
        "held_back": held_back,
    }


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a period would be invoiced with now."""

    invoice: Invoice
    """The draft."""
    quantities: Mapping[UsageKey, Used]
    """What it was made of."""


def _drafts(
    unit: UnitOfWork, *, terms: CustomerTerms, subscription_id: str, now: datetime
) -> list[_Draft]:
    """Return the drafts of a subscription's periods without an invoice, the present one last.

    Late usage stands on the one that is issued next, which is the first.
    """
    timeline = terms.timelines[subscription_id]
    late = find_late_periods(unit, terms=terms, subscription_id=subscription_id)
    drafts: list[_Draft] = []
    for period in open_periods(unit, timeline=timeline, now=now):
        drafts.append(
            _draft(unit, terms=terms, timeline=timeline, period=period, late=late, now=now)
        )
        late = ()
    return drafts


def _draft(
    unit: UnitOfWork,
    *,
    terms: CustomerTerms,
    timeline: Timeline,
    period: Period,
    late: Sequence[LatePeriod],
    now: datetime,
) -> _Draft:
    quantities = running_quantities(unit, terms=terms, timeline=timeline, period=period, at=now)
    subscribed = terms.of_subscription(timeline.subscription.id)
    invoice = build_upcoming(
        subscribed,
        period=period,
        quantities=quantities,
        late=late,
        earlier=lines_before(unit, terms=subscribed, period=period),
    )
    return _Draft(invoice, quantities)


def lines_before(
    unit: UnitOfWork, *, terms: BillingTerms, period: Period
) -> tuple[EarlierLine, ...]:
    """Return the lines of earlier invoices for a period, one that is about to be issued among them.

    That is the invoice before, as long as it waits: of the start, or of the period before.
    """
    subscription_id = terms.timeline.subscription.id
    running = unit.billing_periods.running(subscription_id)
    is_first = bool(running) and running[0].period == period
    if not is_first or unit.subscriptions.is_start_invoice_due(subscription_id):
        return earlier_lines(terms, period=period)
    return unit.invoices.lines_in(subscription_id=subscription_id, period=period)


def _estimates(
    unit: UnitOfWork, *, terms: CustomerTerms, drafts: Sequence[_Draft], now: datetime
) -> list[PeriodEstimate]:
    """Return where the running period of a subscription is heading; late usage stays on its draft.

    It is estimated from the same running quantities as the last of the drafts.
    """
    if not drafts:
        return []
    period = drafts[-1].invoice.period
    timeline = terms.timelines[drafts[-1].invoice.subscription_id]
    late: tuple[LatePeriod, ...] = ()
    if len(drafts) == 1:
        late = find_late_periods(unit, terms=terms, subscription_id=timeline.subscription.id)
    subscribed = terms.of_subscription(timeline.subscription.id)
    found = estimate_period(
        subscribed,
        period=period,
        quantities=levels_until_end(
            unit,
            terms=terms,
            timeline=timeline,
            period=period,
            quantities=drafts[-1].quantities,
        ),
        late=late,
        now=now,
        earlier=lines_before(unit, terms=subscribed, period=period),
    )
    return [] if found is None else [found]


def _margin(
    unit: UnitOfWork, *, terms: CustomerTerms, shown: InvoiceContent
) -> dict[str, Any] | None:
    lines = shown["lines"]
    known = [find_line_terms(unit, terms=terms, line=line) for line in lines]
    currency = shown["currency"]
    if currency is None:
        return None
    return margin_to_dict(margin_of_lines(lines, known=known, currency=currency))


def _span_of(context: ServiceContext, *, terms: CustomerTerms, drafts: list[Invoice]) -> Period:
    """Return the time in which unpriced usage is looked for: the drafts', else this month."""
    if not drafts:
        now = context.clock.now()
        cycle = calendar_cycle(unit=PeriodUnit.MONTH, timezone=terms.customer.timezone, at=now)
        return cycle.whole_period_at(now)
    return Period(
        min(draft.period.start for draft in drafts), max(draft.period.end for draft in drafts)
    )


def _merged(drafts: list[Invoice]) -> Invoice:
    """Return one draft with the lines of all subscriptions."""
    first = drafts[0]
    if len(drafts) == 1:
        return first
    nothing = Money.zero(first.currency)
    total = sum((draft.total for draft in drafts), nothing)
    return replace(
        first,
        subscription_id=ALL_SUBSCRIPTIONS,
        period=Period(
            min(draft.period.start for draft in drafts),
            max(draft.period.end for draft in drafts),
        ),
        lines=tuple(line for draft in drafts for line in draft.lines),
        inputs_sha256=_digest(drafts),
        subtotal=sum((draft.subtotal for draft in drafts), nothing),
        tax=merged_amounts([draft.tax for draft in drafts]),
        tax_total=sum((draft.tax_total for draft in drafts), nothing),
        total=total,
        amount_due=total,
    )


def _nothing_upcoming(
    terms: CustomerTerms, *, span: Period, unpriced: tuple[UnpricedUsage, ...]
) -> InvoiceContent:
    """Return the draft of a customer without a running subscription, with every field."""
    currency = terms.customer.currency or CURRENCY_OF_NOTHING
    nothing = Money.zero(currency)
    draft = Invoice(
        id="",
        reason=InvoiceReason.PERIODIC,
        cause="",
        customer_id=terms.customer.id,
        subscription_id=ALL_SUBSCRIPTIONS,
        currency=currency,
        period=span,
        seller={},
        customer_details=customer_details(terms.customer),
        inputs_sha256=_digest([]),
        lines=(),
        subtotal=nothing,
        discount=nothing,
        tax_total=nothing,
        total=nothing,
        credit_notes_applied=nothing,
        credits_applied=nothing,
        amount_paid=nothing,
        amount_due=nothing,
        unpriced=unpriced,
    )
    return {**invoice_to_dict(draft), "currency": terms.customer.currency, "period": None}


def _digest(drafts: list[Invoice]) -> str:
    """Return the hash of what several drafts were made of."""
    return hashlib.sha256("".join(draft.inputs_sha256 for draft in drafts).encode()).hexdigest()
