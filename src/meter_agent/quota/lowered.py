"""Limits that were lowered: what calls leave over of their leases goes back, and is not used on."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from meter_agent.core.quota.decide import OFFLINE_LEASE_ID
from meter_agent.core.quota.lease import Lease, returned_rest
from meter_agent.core.quota.terms import CustomerTerms

LimitKey: TypeAlias = tuple[str, str]
"""Customer id and limit key."""


class LoweredLimits:
    """Which limits were lowered and have granted nothing since. Used in the writer's thread.

    A recall takes what is free when it is answered. What calls that run then leave over would be
    free for the next one, and so on for as long as calls follow each other.

    Args:
        on_returned: Called where something was given back, which the server is to hear of.
    """

    def __init__(self, *, on_returned: Callable[[], None] = lambda: None) -> None:
        self._keys: set[LimitKey] = set()
        self.on_returned = on_returned

    def heard(self, before: CustomerTerms | None, after: CustomerTerms) -> None:
        """Compares the terms of a customer with those before."""
        for limit in after.limits:
            old = None if before is None else before.limit(limit.limit_key)
            key = (after.customer_id, limit.limit_key)
            if old is not None and limit.max < old.max:
                self._keys.add(key)
            elif old is not None and limit.max > old.max:
                self._keys.discard(key)

    def granted(self, lease: Lease) -> None:
        """Notes that the server granted something: so much may be used again."""
        self._keys.discard((lease.customer_id, lease.limit_key))

    def left_over(self, leases: Iterable[Lease]) -> tuple[Lease, ...]:
        """Returns leases as a call leaves them, without what goes back."""
        after, is_returned = [], False
        for lease in leases:
            kept = lease
            is_own = lease.lease_id == OFFLINE_LEASE_ID
            if (lease.customer_id, lease.limit_key) in self._keys and lease.free and not is_own:
                kept = returned_rest(lease)
            is_returned |= kept != lease
            after.append(kept)
        if is_returned:
            self.on_returned()
        return tuple(after)
