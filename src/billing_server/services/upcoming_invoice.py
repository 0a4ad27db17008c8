"""The upcoming invoice of a customer: what it would be as of now, from running charges."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from billing_server.domain.invoice.build import build_upcoming, earlier_lines
from billing_server.domain.invoice.draft import customer_details
from billing_server.domain.invoice.late import LatePeriod
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.invoice.model import Invoice, InvoiceReason, UnpricedUsage
from billing_server.domain.invoice.serialize import invoice_to_dict
from billing_server.domain.invoice.spend import EarlierLine
from billing_server.domain.ports.invoices import InvoiceContent
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.rating.assignment import UsageKey
from billing_server.domain.subscription.timeline import Timeline
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import CustomerTerms, load_customer_terms
from billing_server.services.late_usage import find_late_periods
from billing_server.services.open_periods import open_periods
from billing_server.services.period_usage import fold_unpriced
from metering.money import Money
from metering.period import Period, PeriodUnit, calendar_cycle
from metering.quantity import unscale_quantity

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
        a period stands in one of them.

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND.
    """
    with context.store.read() as unit:
        terms = load_customer_terms(unit, customer_id=customer_id)
        current: list[Invoice] = []
        closing: list[Invoice] = []
        for each in terms.timelines:
            if subscription_id in {None, each}:
                drafts = _drafts(unit, terms=terms, subscription_id=each, now=context.clock.now())
                closing += drafts[:-1]
                current += drafts[-1:]
        span = _span_of(context, terms=terms, drafts=current)
        unpriced = fold_unpriced(unit, terms=terms, period=span)
        ended = [
            replace(draft, unpriced=fold_unpriced(unit, terms=terms, period=draft.period))
            for draft in sorted(closing, key=lambda draft: (draft.period.end, draft.cause))
        ]
    if current:
        shown = invoice_to_dict(replace(_merged(current), unpriced=unpriced))
    else:
        shown = _nothing_upcoming(terms, span=span, unpriced=unpriced)
    return {**shown, "closing": [invoice_to_dict(draft) for draft in ended]}


def _drafts(
    unit: UnitOfWork, *, terms: CustomerTerms, subscription_id: str, now: datetime
) -> list[Invoice]:
    """Return the drafts of a subscription's periods without an invoice, the present one last.

    Late usage stands on the one that is issued next, which is the first.
    """
    timeline = terms.timelines[subscription_id]
    late = find_late_periods(unit, terms=terms, subscription_id=subscription_id)
    drafts: list[Invoice] = []
    for period in open_periods(unit, timeline=timeline, now=now):
        drafts.append(_draft(unit, terms=terms, timeline=timeline, period=period, late=late))
        late = ()
    return drafts


def _draft(
    unit: UnitOfWork,
    *,
    terms: CustomerTerms,
    timeline: Timeline,
    period: Period,
    late: Sequence[LatePeriod],
) -> Invoice:
    subscription_id = timeline.subscription.id
    charges = unit.usage.running_charges(
        subscription_id, customer_id=terms.customer.id, period_start=period.start
    )
    decimals = {
        UsageKey.of(segment): terms.meters[price.meter].decimals
        for price, segment in timeline.usage_segments(period)
    }
    running = {UsageKey(charge.price_key, charge.segment): charge.quantity for charge in charges}
    quantities = {
        key: unscale_quantity(quantity, decimals=decimals[key]) for key, quantity in running.items()
    }
    subscribed = terms.of_subscription(subscription_id)
    return build_upcoming(
        subscribed,
        period=period,
        quantities=quantities,
        late=late,
        earlier=lines_before(unit, terms=subscribed, period=period),
    )


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
