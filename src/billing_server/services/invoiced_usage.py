"""Usage that stands on an invoice already: no other subscription may take it over (R32, R67)."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from billing_server.domain.catalog.model import UsagePrice
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.model import Subscription
from billing_server.services.customer_terms import load_timeline


@dataclass(frozen=True, slots=True)
class InvoicedClaim:
    """A subscription that has invoiced usage which another one would take over."""

    subscription_id: str
    """The one that has invoiced it."""
    meters: tuple[str, ...]
    """Keys of the meters that both can price, sorted."""
    until: datetime
    """End of its last invoiced period, UTC, exclusive."""


def find_invoiced_claim(
    unit: UnitOfWork, *, subscription: Subscription, meters: AbstractSet[str], start: datetime
) -> InvoicedClaim | None:
    """Find who has invoiced usage that a subscription would charge from an instant on.

    Usage goes to the earliest started subscription with a price for it, so only those that come
    after this one can lose theirs.

    Args:
        unit: holds the customer, so that nothing is invoiced meanwhile.
        subscription: who would charge.
        meters: keys of the meters that it would price.
        start: from when on, UTC.

    Returns:
        The claim that lasts longest; None where nothing is in the way.
    """
    claims: list[InvoicedClaim] = []
    for other in unit.subscriptions.of_customer(subscription.customer_id):
        comes_later = (other.start, other.id) > (subscription.start, subscription.id)
        until = unit.billing_periods.invoiced_until(other.id) if comes_later else None
        if until is None or until <= start:
            continue
        common = meters & _meters_of_subscription(unit, subscription=other)
        if common:
            claims.append(InvoicedClaim(other.id, tuple(sorted(common)), until))
    return max(claims, key=lambda claim: (claim.until, claim.subscription_id), default=None)


def meters_of(prices: tuple[UsagePrice, ...]) -> frozenset[str]:
    """Return the keys of the meters that usage prices are on."""
    return frozenset(price.meter for price in prices)


def _meters_of_subscription(unit: UnitOfWork, *, subscription: Subscription) -> frozenset[str]:
    """Return the meters that a subscription may have charged, under any of its terms."""
    customer = unit.customers.get(subscription.customer_id)
    if customer is None:
        return frozenset()
    timeline = load_timeline(unit, subscription=subscription, customer=customer)
    return frozenset(price.meter for phase in timeline.phases for price in phase.plan.usage_prices)
