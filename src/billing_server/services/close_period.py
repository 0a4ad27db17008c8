"""Closing a billing period: after its grace, usage becomes an invoice and the next one runs."""

from datetime import datetime

import structlog

from billing_server.domain.invoice.build import build_periodic
from billing_server.domain.invoice.model import Invoice
from billing_server.domain.ports.customers import BillingPeriodState, SubscriptionPeriod
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.services.charge_differences import charge_differences
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import CustomerTerms, load_customer_terms
from billing_server.services.issue_invoice import issue_invoice
from billing_server.services.late_usage import clear_late_periods, find_late_periods
from billing_server.services.period_usage import PeriodUsage, fold_period
from billing_server.services.rebuild_running_charges import rebuild_running_charges

log = structlog.get_logger(__name__)


def close_period(
    context: ServiceContext, *, subscription_id: str, period_start: datetime
) -> Invoice | None:
    """Invoice a period that ended at least the grace ago, and open the next one (R75).

    Everything happens in one transaction under the customer's lock: fold, invoice, number, mark,
    next period. So it may run late, twice, or at once on two servers: one of them finds the
    period invoiced and does nothing (R67).

    Returns:
        The invoice; None where the period is not due or has no line (R69).
    """
    with context.store.write() as unit:
        found = unit.billing_periods.get(subscription_id, start=period_start)
        if found is None:
            return None
        unit.customers.lock([found.customer_id])
        closing = unit.billing_periods.get(subscription_id, start=period_start)
        if closing is None or not _is_due(closing, context=context):
            return None
        terms = load_customer_terms(unit, customer_id=closing.customer_id)
        invoice = _invoice_period(unit, context=context, closing=closing, terms=terms)
        unit.billing_periods.mark_invoiced(
            subscription_id, start=period_start, close_time=context.clock.now()
        )
        _open_next(unit, closing=closing, terms=terms)
        return invoice


def _is_due(closing: SubscriptionPeriod, *, context: ServiceContext) -> bool:
    is_running = closing.state is BillingPeriodState.RUNNING
    return is_running and closing.period.end + context.settings.grace <= context.clock.now()


def _invoice_period(
    unit: UnitOfWork,
    *,
    context: ServiceContext,
    closing: SubscriptionPeriod,
    terms: CustomerTerms,
) -> Invoice | None:
    subscription_id = closing.subscription_id
    usage = fold_period(unit, terms=terms, subscription_id=subscription_id, period=closing.period)
    _check_cache(unit, closing=closing, usage=usage)
    late = find_late_periods(unit, terms=terms, subscription_id=subscription_id)
    build = build_periodic(
        terms.of_subscription(subscription_id),
        period=closing.period,
        quantities=usage.quantities,
        late=late,
        earlier=unit.invoices.lines_in(subscription_id=subscription_id, period=closing.period),
    )
    if build.held_back:
        log.error(
            "late_usage_below_zero",
            subscription_id=subscription_id,
            lines=[line.charge_key for line in build.held_back],
        )
    invoice = None
    if build.invoice is not None:
        invoice = issue_invoice(unit, context=context, draft=build.invoice)
    clear_late_periods(
        unit,
        subscription_id=subscription_id,
        late=late,
        held_back=build.held_back,
        number=None if invoice is None else invoice.number,
    )
    return invoice


def _check_cache(unit: UnitOfWork, *, closing: SubscriptionPeriod, usage: PeriodUsage) -> None:
    """Compare the fold with the running charges: a difference is a bug, and is repaired."""
    running = unit.usage.running_charges(
        closing.subscription_id,
        customer_id=closing.customer_id,
        period_start=closing.period.start,
    )
    differences = charge_differences(running, folded=usage.charge_rows())
    if differences:
        log.error(
            "running_charges_differ",
            subscription_id=closing.subscription_id,
            period_start=closing.period.start.isoformat(),
            differences=differences,
        )
        rebuild_running_charges(unit, customer_id=closing.customer_id)


def _open_next(unit: UnitOfWork, *, closing: SubscriptionPeriod, terms: CustomerTerms) -> None:
    following = terms.timelines[closing.subscription_id].next_period(closing.period)
    if following is None:
        return
    unit.billing_periods.add(
        SubscriptionPeriod(
            subscription_id=closing.subscription_id,
            customer_id=closing.customer_id,
            period=following,
            state=BillingPeriodState.RUNNING,
            has_late_usage=False,
        )
    )
