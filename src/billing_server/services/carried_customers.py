"""Which agents carry which customers' usage, written rarely: closing a period asks (R75)."""

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.services.usage_payload import DecodedEvent

KNOWN_MAX: Final = 200_000
"""Pairs that are remembered as written; beyond it they are forgotten and written once more."""
_HOUR_SECONDS: Final = 3600

Carried = frozenset[tuple[int, str, int]]
"""(agent, customer, hour) that were written."""


class CarriedCustomers:
    """Remembers what was written in this hour, so that counting pays for it once. Thread-safe."""

    def __init__(self) -> None:
        self._known: set[tuple[int, str, int]] = set()
        self._lock = threading.Lock()

    def note(
        self, unit: UnitOfWork, *, agent_ref: int, events: Sequence[DecodedEvent], now: datetime
    ) -> Carried:
        """Writes the customers of events that were not written in this hour.

        Returns:
            What to `keep` once the transaction is committed.
        """
        hour = int(now.timestamp()) // _HOUR_SECONDS
        seen = {event.row.customer_id for event in events}
        fresh = [each for each in seen if (agent_ref, each, hour) not in self._known]
        if fresh:
            unit.agents.note_carried(agent_ref, customer_ids=fresh, carry_time=now)
        return frozenset((agent_ref, each, hour) for each in fresh)

    def keep(self, carried: Carried) -> None:
        """Remembers what a committed transaction has written."""
        if not carried:
            return
        with self._lock:
            if len(self._known) + len(carried) > KNOWN_MAX:
                self._known = set()
            self._known |= carried
