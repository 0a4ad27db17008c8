"""Limits as frozen values: how much a customer may use of a meter, money or slots, and when."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from metering.limits import Enforcement, ExpiryBilling, OfflinePolicy, SilencePolicy

ZERO: Final = Decimal(0)
THRESHOLDS_DEFAULT: Final = (Decimal("0.8"), Decimal(1))
"""Shares of a limit at which a threshold event is written, where a limit names none."""


class LimitSubject(StrEnum):
    """What a limit counts."""

    METER = "meter"
    """Quantities of a meter, in its unit."""
    MONEY = "money"
    """Rated amounts, before discounts, credits, minimum and tax."""
    BALANCE = "balance"
    """The customer's prepaid balance."""
    CONCURRENCY = "concurrency"
    """Calls that run at once."""


class WindowUnit(StrEnum):
    """In what span usage is added up."""

    MINUTE = "minute"
    """A rate: a token bucket that refills over a minute."""
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    BILLING_PERIOD = "billing_period"
    LIFETIME = "lifetime"
    ROLLING = "rolling"
    """The last so many hours, at any moment."""


@dataclass(frozen=True, slots=True)
class LimitWindow:
    """The span of a limit."""

    unit: WindowUnit
    """What the span is."""
    length: timedelta | None = None
    """Of a rolling window, in whole minutes; None for the others."""

    def __str__(self) -> str:
        return str(self.unit) if self.length is None else f"rolling:{_short(self.length)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit as a plan or a customer carries it."""

    key: str
    """Unique among the limits of a customer, 1..64 bytes."""
    subject: LimitSubject
    """What is counted."""
    meter: str = ""
    """Key of the meter; empty where the subject is no meter."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Dimension values that usage must carry to count; empty: all usage of the meter."""
    window: LimitWindow = LimitWindow(WindowUnit.LIFETIME)
    """In what span usage is added up; LIFETIME for balances and concurrency."""
    maximum: Decimal = ZERO
    """The most of a window: in the meter's unit, in major units of the currency, or slots. >= 0;
    0 for a balance, whose money is kept apart."""
    enforcement: Enforcement = Enforcement.HARD
    """What passing it comes to."""
    when_offline: OfflinePolicy = OfflinePolicy.CLOSED
    """What a cut-off agent does."""
    allowance: Decimal = ZERO
    """What a cut-off agent may let pass in one window, in the unit of `maximum`. >= 0."""
    unconfirmed: SilencePolicy = SilencePolicy.HOLD
    """What becomes of a silent agent's leases."""
    reclaim_max: Decimal = ZERO
    """The most that reclaimed leases may leave unknown, in the unit of `maximum`. >= 0."""
    burst: Decimal | None = None
    """Of a rate: the most at one moment, in the unit of `maximum`; None for other windows."""
    max_hold: timedelta | None = None
    """Of a concurrency limit: how long a call may run. None: unknown, the limit is approximate."""
    bill_on_expiry: ExpiryBilling = ExpiryBilling.NOTHING
    """What is billed for a reservation that nobody ended."""
    thresholds: tuple[Decimal, ...] = THRESHOLDS_DEFAULT
    """Shares of `maximum` at which a threshold event is written, rising, > 0 and <= 10."""

    @property
    def is_money(self) -> bool:
        """Whether it counts money: leases are then estimated from prices."""
        return self.subject in (LimitSubject.MONEY, LimitSubject.BALANCE)


def _short(length: timedelta) -> str:
    """Returns whole minutes, hours or days as a catalog file writes them."""
    minutes = length // timedelta(minutes=1)
    for size, letter in ((24 * 60, "d"), (60, "h")):
        if minutes % size == 0:
            return f"{minutes // size}{letter}"
    return f"{minutes}m"
