"""A usage price as plain values, in the form of a catalog file."""

from billing_server.domain.catalog.model import Proratable, TierScope, UsagePrice
from metering.quantity import plain_decimal


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
    return fields
