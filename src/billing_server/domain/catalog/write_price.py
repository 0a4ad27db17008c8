"""Prices as plain values, in the form of a catalog file."""

from billing_server.domain.catalog.model import (
    BillingPeriod,
    OneTimePrice,
    Price,
    Proratable,
    RecurringPrice,
    TierScope,
    UsagePrice,
)
from billing_server.domain.catalog.read_tax import price_tax_to_dict
from metering.quantity import plain_decimal


def price_to_dict(price: Price) -> dict[str, object]:
    """Returns a price of any kind in canonical writing."""
    if isinstance(price, UsagePrice):
        return usage_price_to_dict(price)
    fields: dict[str, object] = {
        "key": price.key,
        "name": price.name or None,
        "kind": "one_time" if isinstance(price, OneTimePrice) else "recurring",
        "amount": plain_decimal(price.amount),
    }
    fields |= _timing(price) if isinstance(price, RecurringPrice) else {}
    return fields | price_tax_to_dict(price.tax_category, price.tax_behavior)


def period_to_dict(period: BillingPeriod) -> dict[str, object]:
    """Returns the length of a billing period."""
    return {"every": period.every, "unit": str(period.unit)}


def _timing(price: RecurringPrice) -> dict[str, object]:
    fields: dict[str, object] = {"bill": str(price.bill)}
    if price.billing_period is not None:
        fields["billing_period"] = period_to_dict(price.billing_period)
    if price.per_unit is not None:
        fields["per_unit"] = price.per_unit
    return fields


def usage_price_to_dict(price: UsagePrice) -> dict[str, object]:
    """Returns a usage price in canonical writing.

    A modifier that the price does not have is left out, so that what is stored stays the same when
    a version learns a new one.
    """
    return (
        {
            "key": price.key,
            "name": price.name or None,
            "kind": "usage",
            "meter": price.meter,
            "where": dict(sorted(price.where.items())),
            "included": plain_decimal(price.included),
            "model": price.model.name,
        }
        | dict(price.model.to_fields())
        | _modifiers(price)
    )


def _modifiers(price: UsagePrice) -> dict[str, object]:
    fields: dict[str, object] = {}
    if price.group_by:
        is_shared = price.group_tiers is TierScope.SHARED
        dimensions = list(price.group_by)
        fields["group_by"] = (
            dimensions if is_shared else {"dimensions": dimensions, "tiers": str(price.group_tiers)}
        )
    if price.convert is not None:
        fields["convert"] = price.convert.to_fields()
    if price.charge_flat_at_zero:
        fields["charge_flat_at_zero"] = True
    if price.discount is not None:
        fields["discount"] = price.discount.to_fields()
    if price.maximum is not None:
        fields["maximum"] = plain_decimal(price.maximum)
    if price.minimum:
        fields["minimum"] = plain_decimal(price.minimum)
    if price.prorate != frozenset(Proratable):
        fields["prorate"] = [str(term) for term in Proratable if term in price.prorate]
    if price.estimate_unit_price is not None:
        fields["estimate_unit_price"] = plain_decimal(price.estimate_unit_price)
    if price.unit_cost is not None:
        fields["unit_cost"] = plain_decimal(price.unit_cost)
    return fields | price_tax_to_dict(price.tax_category, price.tax_behavior)
