"""Proration: which exact share of a period a span is, and what a change in mid-period costs.

A share is a `Fraction` and is never rounded or cut (R42); money made from it is rounded once, where
a line is made. The denominator is the whole period of the grid, never one shortened by the day on
which a customer began (R46). Shares of spans that tile the period add up to 1, in every unit but
`NONE`.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction
from typing import Final

from metering.clock import as_utc, format_instant
from metering.errors import ValidationError
from metering.money import Exact
from metering.period import Period, local_time

_MONTH_30_DAYS: Final = 30
_YEAR_360_DAYS: Final = 360


class ProrationUnit(StrEnum):
    """What a share is counted in (R50)."""

    SECOND = "second"
    """Exact time: the span's length by the period's. The default."""
    DAY = "day"
    """Local calendar days: the day on which a span starts counts, the day on which it ends does
    not, so the day of a change belongs to the new plan (R47). A day of 23 or 25 hours is one."""
    DAY_30 = "day_30"
    """Local days on a calendar in which every month has 30 (30E/360): the 31st counts as the 30th,
    28 February is three days before 1 March. A calendar month is 30/30, a quarter 90/90."""
    NONE = "none"
    """No proration: whatever part is used costs the whole. Where terms change inside a period, the
    billing server shares it between them by the second."""


@dataclass(frozen=True, slots=True)
class ProrationChange:
    """What a change of amount in mid-period costs, exact, in major units."""

    credit: Fraction
    """For the rest of the period at the old amount, as it stands on the invoice: 0 or negative."""
    charge: Fraction
    """For the rest of the period at the new amount: 0 or positive."""

    @property
    def net(self) -> Fraction:
        """Charge and credit together; negative where the change is cheaper."""
        return self.charge + self.credit


def proration_share(
    *,
    whole: Period,
    start: datetime,
    end: datetime,
    unit: ProrationUnit,
    timezone: str = "UTC",
) -> Fraction:
    """Returns the share of `whole` that the span `[start, end)` is, 0 to 1 (R46 to R48, R50).

    A period in which the unit counts no days (a cycle of hours, or the 31st by `DAY_30`) is shared
    by the second.

    Args:
        whole: The whole period of the grid, e.g. from `BillingCycle.whole_period_at`.
        start: First instant of the span, inside `whole`.
        end: First instant after the span, not before `start`, not after the end of `whole`.
        unit: What the share is counted in.
        timezone: IANA zone whose days count; only read by the units of days.

    Raises:
        ValidationError: PRORATION_OUTSIDE_PERIOD where the span does not lie in `whole`.
    """
    start, end = as_utc(start), as_utc(end)
    if not whole.start <= start <= end <= whole.end:
        raise ValidationError(
            reason="PRORATION_OUTSIDE_PERIOD",
            message=f"the span from {format_instant(start)} to {format_instant(end)} does not lie "
            f"in the period from {format_instant(whole.start)} to {format_instant(whole.end)}",
        )
    if start == end:
        return Fraction(0)
    if unit is ProrationUnit.NONE:
        return Fraction(1)
    if unit is not ProrationUnit.SECOND:
        whole_days = _day_count(whole.start, whole.end, unit=unit, timezone=timezone)
        if whole_days > 0:
            return Fraction(_day_count(start, end, unit=unit, timezone=timezone), whole_days)
    return Period(start, end).seconds / whole.seconds


def prorate(amount: Exact, *, share: Fraction) -> Fraction:
    """Returns the exact share of an amount, in major units; rounded only where a line is made.

    Args:
        amount: Major units.
        share: 0 to 1.
    """
    return Fraction(amount) * share


def prorate_change(
    *,
    whole: Period,
    at: datetime,
    old_amount: Exact,
    new_amount: Exact,
    unit: ProrationUnit,
    timezone: str = "UTC",
) -> ProrationChange:
    """Returns credit and charge for the rest of the period after a change of amount (R48, R49).

    Args:
        whole: The whole period that the change lies in.
        at: The instant of the change; by days, its day belongs to the new amount.
        old_amount: Major units for the whole period before the change.
        new_amount: Major units for the whole period after the change.
        unit: What the share is counted in.
        timezone: IANA zone whose days count.
    """
    rest = proration_share(whole=whole, start=at, end=whole.end, unit=unit, timezone=timezone)
    return ProrationChange(
        credit=-prorate(old_amount, share=rest), charge=prorate(new_amount, share=rest)
    )


def _day_count(start: datetime, end: datetime, *, unit: ProrationUnit, timezone: str) -> int:
    first, last = (local_time(at, timezone=timezone).date() for at in (start, end))
    number = _day_30_number if unit is ProrationUnit.DAY_30 else date.toordinal
    return number(last) - number(first)


def _day_30_number(day: date) -> int:
    return day.year * _YEAR_360_DAYS + day.month * _MONTH_30_DAYS + min(day.day, _MONTH_30_DAYS)
