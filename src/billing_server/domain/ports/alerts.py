"""The port of alerts: what somebody has to look at, raised once and closed when it is mended."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, Protocol


class AlertState(StrEnum):
    """Whether an alert still holds."""

    OPEN = "open"
    CLOSED = "closed"


class UnpricedSeries(NamedTuple):
    """Usage that no price charges, as counting finds it."""

    customer_id: str
    """Whose."""
    series_id: int
    """The meter with its dimensions."""
    minute: int
    """Earliest minute of it in the batch, since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class UnpricedAlert:
    """Usage of one meter with one set of dimensions that no price charges (R32)."""

    alert_id: int
    """Number of the alert, from 1."""
    customer_id: str
    """Whose usage."""
    meter_key: str
    """Which meter."""
    dimensions: Mapping[str, str]
    """With which dimensions."""
    usage_time: datetime
    """Minute of the usage that raised it, UTC."""
    close_time: datetime | None
    """When a price was there, UTC; None: open."""

    @property
    def state(self) -> AlertState:
        """Whether it still holds."""
        return AlertState.OPEN if self.close_time is None else AlertState.CLOSED


class AlertKey(NamedTuple):
    """Place of an alert among those of all customers."""

    customer_id: str
    """Whose."""
    alert_id: int
    """Number of the alert."""


FIRST_ALERT: Final = AlertKey("", 0)
"""Comes before every alert."""


class AlertRepository(Protocol):
    """Alerts. Of one customer, meter and set of dimensions at most one is open."""

    def raise_unpriced(self, found: Collection[UnpricedSeries]) -> None:
        """Raise an alert for each series that has no open one."""

    def page(
        self,
        *,
        customer_id: str | None = None,
        state: AlertState | None = None,
        after: int = 0,
        limit: int,
    ) -> tuple[UnpricedAlert, ...]:
        """Return up to `limit` alerts in the order in which they were raised.

        Args:
            customer_id: only those of one customer; None: all.
            state: only open or only closed ones; None: both.
            after: number of the alert before the page; 0: from the first.
            limit: at most so many.
        """

    def open_by_customer(
        self, *, customer_id: str | None, after: AlertKey, limit: int
    ) -> tuple[UnpricedAlert, ...]:
        """Return up to `limit` open alerts by (customer, number), those after a key.

        Args:
            customer_id: only those of one customer; None: all.
            after: key of the alert before; `FIRST_ALERT`: from the first.
            limit: at most so many.
        """

    def close(self, alert_ids: Collection[int], *, close_time: datetime) -> None:
        """Close open alerts."""
