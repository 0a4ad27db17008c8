"""The port of late facts: what was counted in a period after that period was invoiced.

Time does not tell it: a clock may stand still or run apart. So each late fact is noted when it is
counted, and takes the number of the invoice that charges it.
"""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from billing_server.domain.ports.events import EventPosition


class LateFactKind(StrEnum):
    """What came late."""

    EVENT = "event"
    """An event that was not counted before."""
    CORRECTION = "correction"
    """A void or an amendment of an event, which may have been counted in time."""
    ADJUSTMENT = "adjustment"
    """A signed quantity that was added by hand."""


class LateFact(NamedTuple):
    """Something that was counted late."""

    subscription_id: str
    """Whose period."""
    period_start_us: int
    """Which one, in microseconds since 1970 UTC."""
    event_time_us: int
    """When it counts, in microseconds since 1970 UTC."""
    fact_id: str
    """Id of the event or the adjustment."""
    kind: LateFactKind
    """What it is."""


class LateFactRepository(Protocol):
    """Late facts by period."""

    def add(self, facts: Collection[LateFact]) -> None:
        """Note facts that stand on no invoice yet."""

    def assign(self, subscription_id: str, *, period_start: datetime, number: str) -> None:
        """Give those of a period that stand on no invoice the number of the one that has them."""

    def page(
        self,
        subscription_id: str,
        *,
        period_start: datetime,
        number: str | None,
        after: EventPosition | None,
        limit: int,
    ) -> list[tuple[int, str, LateFactKind]]:
        """Return facts of a period on one invoice, by (time, id), behind a position.

        Args:
            subscription_id: whose period.
            period_start: which one, UTC.
            number: of the invoice; None: those that stand on none yet.
            after: where the page before ended; None: from the first.
            limit: facts of the page, from 1.

        Returns:
            Time in microseconds, id and kind; a fact that was noted twice stands once.
        """

    def new_in(
        self, subscription_id: str, *, period_start: datetime, start: datetime, end: datetime
    ) -> frozenset[str]:
        """Return ids of events and adjustments of a period that came late, in [start, end)."""
