"""The upcoming invoice of a customer: what it would be as of now, from running charges."""

import hashlib
from dataclasses import replace

from billing_server.domain.invoice.build import build_upcoming
from billing_server.domain.invoice.model import Invoice, UnpricedUsage
from billing_server.domain.invoice.serialize import invoice_to_dict, unpriced_to_dict
from billing_server.domain.ports.customers import SubscriptionPeriod
from billing_server.domain.ports.invoices import InvoiceContent
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import CustomerTerms, load_customer_terms
from billing_server.services.late_usage import find_late_periods
from billing_server.services.period_usage import fold_unpriced
from metering.money import Money
from metering.period import Period, PeriodUnit, calendar_cycle
from metering.quantity import unscale_quantity

ALL_SUBSCRIPTIONS = "all"


def upcoming_invoice(
    context: ServiceContext, *, customer_id: str, subscription_id: str | None = None
) -> InvoiceContent:
    """Draft what a customer would be invoiced for the running periods, as of now.

    The same functions build the final invoice: running and final amounts cannot differ.

    Args:
        context: the world.
        customer_id: whose invoice.
        subscription_id: only this subscription; None: all of the customer's together.

    Returns:
        The invoice's JSON, with `unpriced`: usage that no price charges (R32).

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND.
    """
    with context.store.read() as unit:
        terms = load_customer_terms(unit, customer_id=customer_id)
        drafts = [
            _draft(unit, terms=terms, running=running)
            for each in terms.timelines
            if subscription_id in {None, each}
            for running in unit.billing_periods.running(each)[:1]
        ]
        span = _span_of(context, terms=terms, drafts=drafts)
        unpriced = fold_unpriced(unit, terms=terms, period=span)
    if not drafts:
        return _nothing_upcoming(terms, unpriced=unpriced)
    return invoice_to_dict(replace(_merged(drafts), unpriced=unpriced))


def _draft(unit: UnitOfWork, *, terms: CustomerTerms, running: SubscriptionPeriod) -> Invoice:
    subscribed = terms.of_subscription(running.subscription_id)
    decimals = {
        price.key: terms.meters[price.meter].decimals for price in subscribed.plan.usage_prices
    }
    charges = unit.usage.running_charges(
        running.subscription_id,
        customer_id=running.customer_id,
        period_start=running.period.start,
    )
    quantities = {
        charge.price_key: unscale_quantity(charge.quantity, decimals=decimals[charge.price_key])
        for charge in charges
    }
    late = find_late_periods(unit, terms=terms, subscription_id=running.subscription_id)
    return build_upcoming(subscribed, period=running.period, quantities=quantities, late=late)


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
    digest = hashlib.sha256("".join(draft.inputs_sha256 for draft in drafts).encode()).hexdigest()
    return replace(
        first,
        subscription_id=ALL_SUBSCRIPTIONS,
        period=Period(
            min(draft.period.start for draft in drafts),
            max(draft.period.end for draft in drafts),
        ),
        lines=tuple(line for draft in drafts for line in draft.lines),
        inputs_sha256=digest,
        subtotal=sum((draft.subtotal for draft in drafts), nothing),
        total=total,
        amount_due=total,
    )


def _nothing_upcoming(
    terms: CustomerTerms, *, unpriced: tuple[UnpricedUsage, ...]
) -> InvoiceContent:
    """Return the draft of a customer without a running subscription."""
    zero = Money.zero(terms.customer.currency or "USD").decimal_string()
    return {
        "id": None,
        "number": None,
        "state": "draft",
        "reason": "periodic",
        "customer": terms.customer.id,
        "currency": terms.customer.currency,
        "period": None,
        "issue_time": None,
        "lines": [],
        **dict.fromkeys(("subtotal", "discount", "tax_total", "total", "amount_due"), zero),
        "unpriced": [unpriced_to_dict(each) for each in unpriced],
    }
