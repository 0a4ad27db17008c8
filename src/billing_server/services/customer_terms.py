"""A customer's terms, read together: who is invoiced, on which plans, by which meters."""

from dataclasses import dataclass

from billing_server.domain.catalog.model import Addon, Meter, Plan
from billing_server.domain.invoice.lines import BillingTerms
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.rating.assignment import CustomerAssigner
from billing_server.domain.subscription.model import Customer, Subscription
from billing_server.domain.subscription.timeline import Timeline
from billing_server.domain.tax.rate import TaxRate
from billing_server.services.not_found import customer_not_found
from metering.errors import InvariantError


@dataclass(frozen=True, slots=True)
class CustomerTerms:
    """All that the amounts of one customer depend on, apart from the usage."""

    customer: Customer
    """Who is invoiced."""
    meters: dict[str, Meter]
    """Every meter by key."""
    timelines: dict[str, Timeline]
    """The customer's subscriptions by id, earliest start first."""
    tax_rates: tuple[TaxRate, ...] = ()
    """Of the catalog."""

    @property
    def assigner(self) -> CustomerAssigner:
        """Return what tells which subscription charges which usage."""
        return CustomerAssigner(self.timelines.values())

    def of_subscription(self, subscription_id: str) -> BillingTerms:
        """Return the terms of one of the subscriptions."""
        return BillingTerms(
            customer=self.customer,
            timeline=self.timelines[subscription_id],
            meters=self.meters,
            tax_rates=self.tax_rates,
        )


def load_customer_terms(unit: UnitOfWork, *, customer_id: str) -> CustomerTerms:
    """Read the terms of a customer.

    Raises:
        NotFoundError: CUSTOMER_NOT_FOUND.
    """
    customer = unit.customers.get(customer_id)
    if customer is None:
        raise customer_not_found(customer_id)
    timelines = {
        subscription.id: load_timeline(unit, subscription=subscription, customer=customer)
        for subscription in unit.subscriptions.of_customer(customer_id)
    }
    meters = {meter.key: meter for meter in unit.catalog.meters()}
    return CustomerTerms(
        customer=customer,
        meters=meters,
        timelines=timelines,
        tax_rates=unit.catalog.tax_rates() if customer.country else (),
    )


def load_timeline(unit: UnitOfWork, *, subscription: Subscription, customer: Customer) -> Timeline:
    """Read what a subscription is on over time, and lay out its periods.

    Raises:
        InvariantError: PLAN_VERSION_MISSING, ADDON_VERSION_MISSING; versions are never deleted.
    """
    plans = {
        version: _plan_version(unit, subscription=subscription, version=version)
        for version in sorted(subscription.versions)
    }
    attached = {(addon.key, addon.version) for addon in subscription.addons}
    addons = {
        (key, version): _addon_version(unit, key=key, version=version)
        for key, version in sorted(attached)
    }
    return Timeline.of(subscription, plans=plans, addons=addons, timezone=customer.timezone)


def _plan_version(unit: UnitOfWork, *, subscription: Subscription, version: int) -> Plan:
    plan = unit.catalog.plan(subscription.plan_key, version=version)
    if plan is None:
        raise InvariantError(
            reason="PLAN_VERSION_MISSING",
            message=f"subscription {subscription.id!r} is on plan {subscription.plan_key!r} "
            f"version {version}, which is not stored",
        )
    return plan


def _addon_version(unit: UnitOfWork, *, key: str, version: int) -> Addon:
    addon = unit.catalog.addon(key, version=version)
    if addon is None:
        raise InvariantError(
            reason="ADDON_VERSION_MISSING",
            message=f"add-on {key!r} version {version} is not stored",
        )
    return addon
