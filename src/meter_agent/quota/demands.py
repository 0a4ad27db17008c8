"""How much of each limit is asked for, and whether a lease should be renewed before it runs out."""

from collections.abc import Callable
from typing import Final

from meter_agent.core.quota.decide import QuotaDecision, Verdict
from meter_agent.core.quota.demand import Demand, demanded
from meter_agent.core.quota.lease import Lease

LEASE_SECONDS: Final = 15
"""A lease is sized for as long a demand; at half of it, it is renewed."""
SEEN_US: Final = 3_600_000_000
"""A customer seen in the last hour keeps its float."""

_NOTHING: Final = Demand()

LimitKey = tuple[str, str]
"""Customer id and limit key."""


class Demands:
    """Demand by customer and limit. The writer's thread adds; any thread reads.

    Args:
        on_low: Called in the writer's thread where a lease is half used up.
    """

    def __init__(self, *, on_low: Callable[[], None] = lambda: None) -> None:
        self._demands: dict[LimitKey, Demand] = {}
        self._low: set[LimitKey] = set()
        self.on_low = on_low

    def decided(self, customer_id: str, decision: QuotaDecision, *, now_us: int) -> None:
        """Counts what a call asked for, granted or to be asked for."""
        amounts: dict[str, int] = {}
        for take in decision.takes:
            amounts[take.limit_key] = amounts.get(take.limit_key, 0) + take.amount
        if decision.verdict is Verdict.ASK:
            amounts = {item.limit_key: item.wanted for item in decision.shortages}
        for limit_key, amount in amounts.items():
            self.add(customer_id, limit_key, amount=amount, now_us=now_us)

    def add(self, customer_id: str, limit_key: str, *, amount: int, now_us: int) -> None:
        """Counts an amount that was asked for."""
        key = (customer_id, limit_key)
        self._demands[key] = demanded(
            self._demands.get(key, _NOTHING), amount=amount, now_us=now_us
        )

    def of(self, customer_id: str, limit_key: str) -> Demand:
        """Returns the demand for one limit."""
        return self._demands.get((customer_id, limit_key), _NOTHING)

    def look(self, leases: tuple[Lease, ...], *, now_us: int) -> None:
        """Notes the limits whose leases have less left than half of what they are sized for."""
        free: dict[LimitKey, int] = {}
        for lease in leases:
            if lease.is_usable(now_us) and not lease.is_share:
                key = (lease.customer_id, lease.limit_key)
                free[key] = free.get(key, 0) + lease.free
        for key, amount in free.items():
            is_low = amount < self.of(*key).per_second(now_us) * LEASE_SECONDS // 2
            if is_low and key not in self._low:
                self._low.add(key)
                self.on_low()
            elif not is_low:
                self._low.discard(key)

    def recent(self, *, now_us: int) -> dict[LimitKey, Demand]:
        """Returns the demand of customers seen in the last hour, and forgets the others."""
        self._low.clear()
        current = list(self._demands.items())
        for key, demand in current:
            if now_us - demand.at_us > SEEN_US:
                self._demands.pop(key, None)
        return {key: demand for key, demand in current if now_us - demand.at_us <= SEEN_US}
