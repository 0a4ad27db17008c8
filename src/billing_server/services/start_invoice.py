"""The invoice of a subscription's start: fees in advance for its first period."""

from billing_server.domain.invoice.build import build_start
from billing_server.domain.invoice.model import Invoice
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import load_customer_terms
from billing_server.services.issue_invoice import issue_invoice


def issue_start_invoice(context: ServiceContext, *, subscription_id: str) -> Invoice | None:
    """Invoice the start of a subscription, once: late or twice is harmless.

    Returns:
        The invoice; None where it is not due (any more), or has no line (R69).
    """
    with context.store.write() as unit:
        subscription = unit.subscriptions.get(subscription_id)
        if subscription is None or subscription.start > context.clock.now():
            return None
        unit.customers.lock([subscription.customer_id])
        if not unit.subscriptions.is_start_invoice_due(subscription_id):
            return None
        terms = load_customer_terms(unit, customer_id=subscription.customer_id)
        subscribed = terms.of_subscription(subscription_id)
        first = subscribed.timeline.first_period()
        earlier = unit.invoices.lines_in(subscription_id=subscription_id, period=first)
        build = build_start(subscribed, earlier=earlier)
        unit.subscriptions.clear_start_invoice(subscription_id)
        if build.invoice is None:
            return None
        return issue_invoice(unit, context=context, draft=build.invoice)
