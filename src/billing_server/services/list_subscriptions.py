"""Listing and showing subscriptions."""

from billing_server.domain.subscription.model import Subscription
from billing_server.services.context import ServiceContext
from billing_server.services.customer_terms import load_timeline
from billing_server.services.not_found import subscription_not_found
from billing_server.services.pages import Page, PageRequest, page_from
from metering.period import Period


def list_subscriptions(
    context: ServiceContext, *, page: PageRequest, customer_id: str | None = None
) -> Page[Subscription]:
    """List subscriptions by id, those of one customer where one is named."""
    with context.store.read() as unit:
        found = unit.subscriptions.page(
            after=page.after, limit=page.limit + 1, customer_id=customer_id
        )
    return page_from(found, request=page, key=lambda subscription: subscription.id)


def show_subscription(context: ServiceContext, *, subscription_id: str) -> Subscription:
    """Return a subscription.

    Raises:
        NotFoundError: SUBSCRIPTION_NOT_FOUND.
    """
    with context.store.read() as unit:
        found = unit.subscriptions.get(subscription_id)
    if found is None:
        raise subscription_not_found(subscription_id)
    return found


def rating_failed_reason(context: ServiceContext, *, subscription: Subscription) -> str | None:
    """Return why a subscription's usage is counted and not rated; None: it is rated."""
    with context.store.read() as unit:
        return unit.usage.rating_failed(subscription.customer_id).get(subscription.id)


def current_period(context: ServiceContext, *, subscription: Subscription) -> Period | None:
    """Return the period that holds the present instant; None before the start or after the end."""
    with context.store.read() as unit:
        customer = unit.customers.get(subscription.customer_id)
        if customer is None:
            return None
        timeline = load_timeline(unit, subscription=subscription, customer=customer)
    return timeline.period_at(context.clock.now())
