"""Rows that the tests of repositories share."""

from billing_server.domain.catalog.model import Meter, Plan
from billing_server.domain.ports.customers import StartInvoice
from billing_server.domain.subscription.model import Customer, Subscription
from billing_server.store.unit_of_work import SqlUnitOfWork
from metering.clock import parse_instant

NOW = parse_instant("2026-02-01T00:00:00Z")
METER = Meter(key="tokens", unit="token", quantity="tokens", where={"model": "large"}, decimals=3)
PLAN = Plan(key="pro", version=1, currency="USD", effective_from=NOW)
CUSTOMER = Customer(
    id="acme", name="Acme", currency="USD", timezone="Europe/Berlin", country="DE", tax_id="DE1"
)


def subscription(subscription_id: str, *, start: str) -> Subscription:
    """Returns a subscription of the customer to the plan."""
    return Subscription(
        id=subscription_id,
        customer_id="acme",
        plan_key="pro",
        plan_version=1,
        start=parse_instant(start),
        anchor=parse_instant("2026-01-31T10:00:00Z"),
    )


def write_rows(unit: SqlUnitOfWork, *subscriptions: Subscription) -> None:
    """Writes the meter, the plan, the customer and subscriptions that are due at their start."""
    unit.catalog.put_meter(METER, update_time=NOW)
    unit.catalog.add_plan_version(PLAN, create_time=NOW)
    unit.customers.add(CUSTOMER, create_time=NOW)
    for each in subscriptions:
        unit.subscriptions.add(each, create_time=NOW, start_invoice=StartInvoice.DUE)
