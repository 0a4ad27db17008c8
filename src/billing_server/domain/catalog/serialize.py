"""Catalog values to and from plain JSON values, for storage and the API.

The form is that of the catalog file, in canonical writing (decimals without trailing zeros, every
default written out), so that equal contents have equal texts.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from billing_server.domain.catalog.limit import Limit
from billing_server.domain.catalog.model import (
    Addon,
    CatalogFile,
    Meter,
    Plan,
    SubscriptionEntry,
)
from billing_server.domain.catalog.read import (
    read_addon,
    read_customer,
    read_meter,
    read_plan,
    read_subscription_entry,
)
from billing_server.domain.catalog.read_limit import limit_to_dict, read_limits
from billing_server.domain.catalog.read_period import anchor_to_plain
from billing_server.domain.catalog.read_spend import spend_to_dict
from billing_server.domain.catalog.read_tax import read_tax_rate, tax_rate_to_dict
from billing_server.domain.catalog.write_price import period_to_dict, price_to_dict
from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes, integer, present
from billing_server.domain.subscription.model import Customer
from billing_server.domain.tax.rate import TaxRate
from metering.clock import format_instant

__all__ = [
    "CONTENT_MALFORMED",
    "addon_from_dict",
    "addon_to_dict",
    "canonical_json",
    "catalog_to_dict",
    "customer_from_dict",
    "customer_to_dict",
    "meter_from_dict",
    "meter_to_dict",
    "plan_from_dict",
    "plan_to_dict",
    "price_to_dict",
    "subscription_entry_from_dict",
    "subscription_entry_to_dict",
    "tax_rate_from_dict",
    "tax_rate_to_dict",
]

T = TypeVar("T")

CONTENT_MALFORMED = "CONTENT_MALFORMED"
_VERSION_MAX = 10**9


def canonical_json(value: object) -> str:
    """Returns the one JSON text of a plain value: keys sorted, no spaces."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def meter_to_dict(meter: Meter) -> dict[str, object]:
    """Returns a meter as plain values."""
    fields: dict[str, object] = {
        "key": meter.key,
        "unit": meter.unit,
        "aggregation": str(meter.aggregation),
        "decimals": meter.decimals,
        "quantity": meter.quantity or None,
        "where": dict(sorted(meter.where.items())),
    }
    # No other meter has it, and what was hashed before there were such meters stays as it was.
    return fields | {"of": meter.of} if meter.of else fields


def meter_from_dict(value: Mapping[str, object]) -> Meter:
    """Returns the meter of `meter_to_dict`.

    Raises:
        ValidationError: CONTENT_MALFORMED, naming the fields.
    """
    mistakes = Mistakes("meter")
    return _checked(read_meter(_reader(value, mistakes)), mistakes)


def plan_to_dict(plan: Plan) -> dict[str, object]:
    """Returns a plan version as plain values."""
    effective_from = plan.effective_from
    return {
        "key": plan.key,
        "version": plan.version,
        "name": plan.name or None,
        "currency": plan.currency,
        "billing_period": period_to_dict(plan.billing_period),
        "anchor": anchor_to_plain(plan.anchor),
        "proration": str(plan.proration),
        "effective_from": None if effective_from is None else format_instant(effective_from),
        "prices": [price_to_dict(price) for price in plan.prices],
        # Left out where there is none: the inputs of an invoice are hashed in this form.
        **({"limits": [limit_to_dict(limit) for limit in plan.limits]} if plan.limits else {}),
    } | spend_to_dict(plan)


def plan_from_dict(value: Mapping[str, object]) -> Plan:
    """Returns the plan version of `plan_to_dict`; `version` may be absent (0: not applied).

    Raises:
        ValidationError: CONTENT_MALFORMED, naming the fields.
    """
    mistakes = Mistakes("plan")
    reader = _reader(value, mistakes)
    version = reader.optional("version", integer(low=0, high=_VERSION_MAX), default=0)
    return replace(_checked(read_plan(reader, meter_keys=None), mistakes), version=version)


def addon_to_dict(addon: Addon) -> dict[str, object]:
    """Returns an add-on version as plain values."""
    return {
        "key": addon.key,
        "version": addon.version,
        "name": addon.name or None,
        "currency": addon.currency,
        "prices": [price_to_dict(price) for price in addon.prices],
    }


def addon_from_dict(value: Mapping[str, object]) -> Addon:
    """Returns the add-on version of `addon_to_dict`.

    Raises:
        ValidationError: CONTENT_MALFORMED, naming the fields.
    """
    mistakes = Mistakes("addon")
    reader = _reader(value, mistakes)
    version = reader.optional("version", integer(low=0, high=_VERSION_MAX), default=0)
    return replace(_checked(read_addon(reader, meter_keys=None), mistakes), version=version)


def limits_from_plain(value: Sequence[object] | None) -> tuple[Limit, ...] | None:
    """Returns the limits of a list of `limit_to_dict`; None of None.

    Raises:
        ValidationError: CONTENT_MALFORMED, naming the fields.
    """
    if value is None:
        return None
    mistakes = Mistakes("limits")
    return _checked(read_limits(_reader({"limits": value}, mistakes), meter_keys=None), mistakes)


def customer_to_dict(customer: Customer) -> dict[str, object]:
    """Returns a customer as plain values; what is unset is None."""
    return {
        "id": customer.id,
        "name": customer.name or None,
        "currency": customer.currency,
        "timezone": customer.timezone,
        "country": customer.country or None,
        "tax_id": customer.tax_id or None,
        "email": customer.email or None,
        "purchase_order": customer.purchase_order or None,
        # Left out where they are not said: the inputs of an invoice are hashed in this form.
        **({"region": customer.region} if customer.region else {}),
        **({"tax_exempt": str(customer.tax_exempt)} if customer.is_tax_exempt else {}),
        # Left out where nothing was said: what is kept so is kept on.
        **(
            {}
            if customer.limits is None
            else {"limits": [limit_to_dict(limit) for limit in customer.limits]}
        ),
    }


def customer_from_dict(value: Mapping[str, object]) -> Customer:
    """Returns the customer of `customer_to_dict`.

    Raises:
        ValidationError: CONTENT_MALFORMED, naming the fields.
    """
    mistakes = Mistakes("customer")
    return _checked(read_customer(_reader(value, mistakes)), mistakes)


def tax_rate_from_dict(value: Mapping[str, object]) -> TaxRate:
    """Returns the rate of `tax_rate_to_dict`.

    Raises:
        ValidationError: CONTENT_MALFORMED, naming the fields.
    """
    mistakes = Mistakes("tax rate")
    return _checked(read_tax_rate(_reader(value, mistakes)), mistakes)


def subscription_entry_to_dict(entry: SubscriptionEntry) -> dict[str, object]:
    """Returns a subscription of a catalog file as plain values."""
    return {
        "id": entry.id,
        "customer": entry.customer_id,
        "plan": entry.plan_key,
        "start": None if entry.start is None else format_instant(entry.start),
        "anchor": None if entry.anchor is None else format_instant(entry.anchor),
        "quantities": {key: int(value) for key, value in sorted(entry.quantities.items())},
        "overrides": {key: dict(fields) for key, fields in sorted(entry.overrides.items())},
        "addons": list(entry.addons),
    }


def subscription_entry_from_dict(value: Mapping[str, object]) -> SubscriptionEntry:
    """Returns the entry of `subscription_entry_to_dict`.

    Raises:
        ValidationError: CONTENT_MALFORMED, naming the fields.
    """
    mistakes = Mistakes("subscription")
    return _checked(read_subscription_entry(_reader(value, mistakes)), mistakes)


def catalog_to_dict(catalog: CatalogFile) -> dict[str, object]:
    """Returns a whole catalog as plain values, in the form of a catalog file."""
    return {
        "meters": [meter_to_dict(meter) for meter in catalog.meters],
        "plans": [_without_version(plan_to_dict(plan)) for plan in catalog.plans],
        "addons": [_without_version(addon_to_dict(addon)) for addon in catalog.addons],
        "tax_rates": [tax_rate_to_dict(rate) for rate in catalog.tax_rates],
        "customers": [customer_to_dict(customer) for customer in catalog.customers],
        "subscriptions": [subscription_entry_to_dict(entry) for entry in catalog.subscriptions],
    }


def _without_version(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name != "version"}


def _reader(value: Mapping[str, object], mistakes: Mistakes) -> FieldReader:
    return FieldReader(node_from_plain(value, name=mistakes.name), path="", mistakes=mistakes)


def _checked(value: T | None, mistakes: Mistakes) -> T:
    mistakes.raise_if_any(reason=CONTENT_MALFORMED)
    return present(value)
