"""How much of a limit is asked for: what the server sizes leases by."""

import math
from dataclasses import dataclass, replace
from typing import Final

HALF_LIFE_US: Final = 5_000_000
"""After this long without calls the demand has halved: 5 s."""
OUTAGE_FLOAT_US: Final = 600_000_000
"""How much demand is kept for an outage: 10 minutes of it."""
OUTAGE_HALF_LIFE_US: Final = 300_000_000
"""Half-life of the slow average that the float is made of: 5 minutes."""
LARGEST_DECAY: Final = 0.99
"""What is left of the largest call after each smaller one: it is forgotten within hundreds."""

_US_PER_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Demand:
    """Demand for one limit of one customer. Refused calls count as well."""

    fast: float = 0.0
    """Decayed sum of the amounts of late, in the limit's smallest unit."""
    slow: float = 0.0
    """The same with the half-life of the outage float."""
    largest: float = 0.0
    """Largest call of late, in the smallest unit."""
    at_us: int = 0
    """When it was brought up to date; clock of leases."""

    def per_second(self, now_us: int) -> int:
        """Returns the demand a second, rounded up, in the limit's smallest unit."""
        fast = self.fast * _decay(now_us - self.at_us, half_life_us=HALF_LIFE_US)
        return math.ceil(fast * math.log(2) * _US_PER_SECOND / HALF_LIFE_US)

    def outage_float(self, now_us: int) -> int:
        """Returns ten minutes of recent demand, rounded up, in the limit's smallest unit."""
        slow = self.slow * _decay(now_us - self.at_us, half_life_us=OUTAGE_HALF_LIFE_US)
        return math.ceil(slow * math.log(2) * OUTAGE_FLOAT_US / OUTAGE_HALF_LIFE_US)

    @property
    def largest_call(self) -> int:
        """The largest call of late, rounded up, in the limit's smallest unit."""
        return math.ceil(self.largest)


def demanded(demand: Demand, *, amount: int, now_us: int) -> Demand:
    """Returns the demand after a call asked for an amount, granted or not."""
    passed = max(now_us - demand.at_us, 0)
    return replace(
        demand,
        fast=demand.fast * _decay(passed, half_life_us=HALF_LIFE_US) + amount,
        slow=demand.slow * _decay(passed, half_life_us=OUTAGE_HALF_LIFE_US) + amount,
        largest=max(float(amount), demand.largest * LARGEST_DECAY),
        at_us=demand.at_us + passed,
    )


def _decay(passed_us: int, *, half_life_us: int) -> float:
    return math.pow(0.5, max(passed_us, 0) / half_life_us)
