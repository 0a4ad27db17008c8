"""What limits need in the background: agents that stay away, and rows that nobody needs."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from billing_server.domain.limit.lease import LeaseState
from billing_server.domain.limit.silence import (
    LOST_AGENT_AFTER,
    LOST_EPHEMERAL_AFTER,
    SILENT_AFTER,
)
from billing_server.domain.ports.unit_of_work import UnitOfWork, Urgency
from billing_server.services.context import ServiceContext
from billing_server.services.lease_windows import current_windows, open_windows, write_windows
from billing_server.services.limit_book import LimitBook

EVERY: Final = timedelta(seconds=30)
"""How often it is looked at."""
LEASES_AT_ONCE: Final = 200
"""Leases of one look: the account of each is held for a moment."""
KEPT_FOR: Final = timedelta(days=37)
"""Closed leases stay so long after their window, or their last report where it never ends: an event
that comes late finds its counters."""
ROLLING_KEPT_FOR: Final = timedelta(days=91)

log = structlog.get_logger(__name__)


class LimitTidying:
    """Looks after leases of silent agents from time to time. Safe on every replica."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._book = LimitBook()
        self._next: datetime | None = None
        self._after = b""

    def look(self) -> int:
        """Frees what silence has freed, and forgets old rows; returns windows looked at.

        A round of lease work does the same for the windows that it touches: this is for those
        that nobody asks for.
        """
        now = self._context.clock.now()
        if self._next is not None and now < self._next:
            return 0
        self._next = now + EVERY
        with self._context.store.read() as unit:
            silent = unit.leases.silent(
                before=now - SILENT_AFTER, after=self._after, limit=LEASES_AT_ONCE
            )
        # Leases that are held stay silent: the next look goes on behind these, then begins anew.
        self._after = silent[-1].lease_id if len(silent) == LEASES_AT_ONCE else b""
        pairs = {(lease.key.customer_id, lease.key.limit_key) for lease in silent}
        if pairs:
            with self._context.store.write(urgency=Urgency.URGENT) as unit:
                windows = current_windows(unit, book=self._book, pairs=pairs, now=now)
                opened = open_windows(unit, windows=windows, now=now).values()
                write_windows(unit, windows=opened)
                freed = {each.limit.customer_id for each in opened if each.changed}
                if freed:
                    unit.leases.announce(freed)
                    log.info("silent_leases_freed", customers=len(freed))
        with self._context.store.write() as unit:
            _close_left(unit, now=now)
            unit.leases.forget_lost_wants(
                silent_before=now - LOST_AGENT_AFTER, ephemeral_before=now - LOST_EPHEMERAL_AFTER
            )
            unit.leases.purge(ended_before=now - KEPT_FOR, limit=LEASES_AT_ONCE)
            unit.limits.purge_rolling(before=now - ROLLING_KEPT_FOR)
        return len(pairs)


def _close_left(unit: UnitOfWork, *, now: datetime) -> None:
    """Closes leases of ended windows whose agents never told that they did."""
    left = unit.leases.left(ended_before=now - LOST_AGENT_AFTER, limit=LEASES_AT_ONCE)
    unit.limits.lock_accounts({lease.key for lease in left})
    # Read again under the locks.
    held = unit.leases.by_id([lease.lease_id for lease in left]).values()
    unit.leases.put([replace(lease, state=LeaseState.CLOSED) for lease in held])
