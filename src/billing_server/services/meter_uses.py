"""What the catalog reads meters for: prices, limits, or limits alone.

A plan that limits all tokens and prices those of each model has a meter of all tokens that no price
reads, nor should one. Its usage is counted for the limit, and is not unpriced (R32).
"""

from dataclasses import dataclass

from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.domain.subscription.model import Customer


@dataclass(frozen=True, slots=True)
class MeterUses:
    """The meters that prices and limits read, in the newest versions of plans and add-ons."""

    priced: frozenset[str]
    """Keys of meters that some price reads."""
    limited: frozenset[str]
    """Keys of meters that some limit of a plan reads."""

    def is_for_limits_alone(self, meter_key: str, *, customer: Customer) -> bool:
        """Tells whether a limit of a plan or of the customer reads a meter and no price does."""
        if meter_key in self.priced:
            return False
        own = {limit.meter for limit in customer.limits or ()}
        return meter_key in self.limited or meter_key in own


def load_meter_uses(unit: UnitOfWork) -> MeterUses:
    """Read what the catalog reads meters for."""
    plans, addons = unit.catalog.latest_plans(), unit.catalog.latest_addons()
    prices = [price for plan in plans for price in plan.usage_prices]
    prices += [price for addon in addons for price in addon.usage_prices]
    return MeterUses(
        priced=frozenset(price.meter for price in prices),
        limited=frozenset(limit.meter for plan in plans for limit in plan.limits if limit.meter),
    )
