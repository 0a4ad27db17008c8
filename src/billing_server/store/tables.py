"""Every table of the server's database, in one place to import from."""

from billing_server.store.schema import metadata
from billing_server.store.tables_billing import (
    addon_version,
    api_key,
    billing_period,
    customer,
    idempotency_key,
    invoice,
    invoice_line,
    meter,
    plan_version,
    running_charge,
    subscription,
)
from billing_server.store.tables_server import (
    catalog_state,
    number_series,
    server_state,
    setting,
)
from billing_server.store.tables_usage import (
    agent,
    agent_customer,
    declared_loss,
    usage_bucket,
    usage_conflict,
    usage_event,
    usage_series,
)

__all__ = [
    "addon_version",
    "agent",
    "agent_customer",
    "api_key",
    "billing_period",
    "catalog_state",
    "customer",
    "declared_loss",
    "idempotency_key",
    "invoice",
    "invoice_line",
    "metadata",
    "meter",
    "number_series",
    "plan_version",
    "running_charge",
    "server_state",
    "setting",
    "subscription",
    "usage_bucket",
    "usage_conflict",
    "usage_event",
    "usage_series",
]
