"""Whether a plan version only adds prices to another one: usage that had no price gets one."""

from dataclasses import replace

from billing_server.domain.catalog.model import Plan, UsagePrice


def added_usage_prices(old: Plan, *, new: Plan) -> tuple[UsagePrice, ...]:
    """Returns the usage prices that a version adds, where it does nothing else (R32).

    A price that takes usage from one that was there is a changed price, and so is no addition.

    Args:
        old: a version of a plan.
        new: a later version of it.

    Returns:
        Empty where anything else differs, or nothing does.
    """
    if replace(old, version=0, effective_from=None, prices=()) != replace(
        new, version=0, effective_from=None, prices=()
    ):
        return ()
    known = {price.key: price for price in old.prices}
    kept = [price for price in new.prices if known.get(price.key) == price]
    added = [price for price in new.prices if price.key not in known]
    if len(kept) != len(old.prices) or len(kept) + len(added) != len(new.prices):
        return ()
    usage = tuple(price for price in added if isinstance(price, UsagePrice))
    takes_usage = any(_takes_usage(price, other) for price in usage for other in old.usage_prices)
    return () if len(usage) != len(added) or takes_usage else usage


def _takes_usage(price: UsagePrice, other: UsagePrice) -> bool:
    """Returns whether an event may match both prices and be charged by the first."""
    return (
        price.meter == other.meter
        and len(price.where) > len(other.where)
        and all(other.where.get(key, value) == value for key, value in price.where.items())
    )
