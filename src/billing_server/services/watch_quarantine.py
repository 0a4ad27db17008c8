"""Finding waiting events whose customer or meter came, whoever was stopped before counting them.

Whoever creates a customer or a meter counts what waited for it at once, after the commit. A server
that is killed in between, or finds the database busy, leaves that to this look.
"""

from collections.abc import Callable
from typing import Final

import structlog

from billing_server.domain.ports.unit_of_work import Store
from billing_server.services.redrive_quarantine import Redriven, redrive_quarantine
from metering.errors import ConflictError, UnavailableError

CUSTOMERS_A_LOOK: Final = 200
"""Customers with waiting events that one look goes through; the next look goes on behind them."""

log = structlog.get_logger(__name__)


def redrive_promptly(store: Store, *, customer_id: str | None = None) -> None:
    """Count what waited for what was just created, or leaves it to the scheduler's next look.

    What was created is committed: a busy database here must not tell the caller otherwise.
    """
    try:
        redrive_quarantine(store, customer_id=customer_id)
    except (ConflictError, UnavailableError) as error:
        log.warning("redrive_put_off", customer_id=customer_id, reason=error.reason)


class QuarantineWatch:
    """Looks for events that could be counted by now. Used by one thread.

    A look that finds nothing new is two small queries: a customer is tried once for each revision
    of the catalog, and one that does not exist is only passed by.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revision: int | None = None
        self._tried: set[str] = set()
        self._after = ""

    def look(self, *, should_stop: Callable[[], bool] = lambda: False) -> Redriven:
        """Count what waits for no reason any more, exactly once.

        Args:
            should_stop: asked before each customer; the next look finds what is left.

        Raises:
            ConflictError: DATABASE_BUSY; the next look tries again.
            UnavailableError: DISK_FULL, DATABASE_UNREACHABLE; likewise.
        """
        with self._store.read() as unit:
            revision = unit.catalog.revision()
            waiting = unit.usage.waiting_customers(after=self._after, limit=CUSTOMERS_A_LOOK)
        if revision != self._revision:
            # What was missing may be there now; the first look of a server begins here as well.
            self._revision = revision
            self._tried.clear()
        total = Redriven()
        for customer_id, is_known in waiting.items():
            if should_stop():
                return total
            if is_known and customer_id not in self._tried:
                total += redrive_quarantine(self._store, customer_id=customer_id)
                self._tried.add(customer_id)
        self._after = list(waiting)[-1] if len(waiting) == CUSTOMERS_A_LOOK else ""
        if total.counted:
            log.info("waiting_events_counted", counted=total.counted, waiting=total.waiting)
        return total
