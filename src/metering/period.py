"""Periods and billing cycles: half-open spans, always counted from the anchor, in local time.

Boundaries are computed on the wall clock of an IANA zone and returned in UTC. A wall time that the
zone skips moves forward by the gap; one that occurs twice is the first (R2). Nothing is ever added
to the end of the previous period, so a day that was clamped in a short month comes back (R4).
"""

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from metering.clock import as_utc, format_instant
from metering.errors import ValidationError

PERIOD_EVERY_MAX: Final = 1_000
"""Units in one period: enough for "every 730 days", few enough for the calendar's end."""
PERIOD_COUNT_MAX: Final = 10_000
"""Periods laid out by one call: 27 years of days."""
TIMEZONE_NAME_LENGTH_MAX: Final = 64
# Files beside the IANA zones: other readings of them, and what a machine happens to be set to.
_NO_ZONES: Final = frozenset({"posix", "right", "localtime", "posixrules", "Factory"})

_MICROSECOND: Final = timedelta(microseconds=1)
_MICROSECONDS_PER_SECOND: Final = 1_000_000
_MONTHS_PER_YEAR: Final = 12
_DAYS_PER_WEEK: Final = 7
_BILLING_DAY_MAX: Final = 31
_LEAP_YEAR: Final = 2000
_MIDNIGHT: Final = time(0)


class PeriodUnit(StrEnum):
    """What a billing period is counted in."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    HALF_YEAR = "half_year"
    YEAR = "year"


_MONTHS: Final = {
    PeriodUnit.MONTH: 1,
    PeriodUnit.QUARTER: 3,
    PeriodUnit.HALF_YEAR: 6,
    PeriodUnit.YEAR: 12,
}


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open span `[start, end)`: what happens at exactly `end` is the next period's (R1)."""

    start: datetime
    """First instant inside, UTC."""
    end: datetime
    """First instant after, UTC, later than `start`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", as_utc(self.start))
        object.__setattr__(self, "end", as_utc(self.end))
        if self.start >= self.end:
            raise ValidationError(
                reason="PERIOD_EMPTY",
                message=f"the period from {format_instant(self.start)} to "
                f"{format_instant(self.end)} is empty; its end must be later than its start",
            )

    def contains(self, instant: datetime) -> bool:
        """Tells whether the instant lies inside; `start` does, `end` does not."""
        return self.start <= instant < self.end

    @property
    def seconds(self) -> Fraction:
        """The exact length in seconds, > 0."""
        return Fraction((self.end - self.start) // _MICROSECOND, _MICROSECONDS_PER_SECOND)

    def overlap(self, other: "Period") -> "Period | None":
        """Returns the span that both share, None where they share no instant."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Period(start, end) if start < end else None


@dataclass(frozen=True, slots=True)
class BillingCycle:
    """A grid of periods: boundary number n is the anchor plus n periods, n of any sign."""

    anchor: datetime
    """The instant of boundary 0, UTC; taken as it is, even in an hour that occurs twice (R10)."""
    unit: PeriodUnit
    """What a period is counted in."""
    every: int = 1
    """Units in one period, 1 to 1000."""
    timezone: str = "UTC"
    """IANA zone whose wall clock the boundaries follow (R3)."""
    anchor_day: int | None = None
    """Day of the month that the boundaries of a cycle in months aim at, 1 to 31 (31: the last).
    None: the anchor's local day. It differs where the anchor itself stands in a shorter month."""
    anchor_time: time | None = None
    """Wall time that the boundaries aim at. None: the anchor's. It differs where the zone skips
    that time on the anchor's own day."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "anchor", as_utc(self.anchor))
        time_zone(self.timezone)
        _require_range("every", self.every, PERIOD_EVERY_MAX, reason="PERIOD_EVERY_OUT_OF_RANGE")
        if self.anchor_day is not None:
            _require_billing_day(self.anchor_day)

    def boundary(self, n: int) -> datetime:
        """Returns the anchor plus n periods, in UTC; never falls as n rises (R2, R4, R5).

        Args:
            n: Number of the boundary; negative before the anchor.

        Raises:
            ValidationError: PERIOD_OUT_OF_RANGE beyond the years 1 to 9999.
        """
        if n == 0:
            return self.anchor
        wall = local_time(self.anchor, timezone=self.timezone)
        try:
            day = self._boundary_date(wall.date(), n)
            return _from_wall(
                day,
                wall.time() if self.anchor_time is None else self.anchor_time,
                timezone=self.timezone,
            )
        except (ValueError, OverflowError) as error:
            raise _out_of_range(f"period {n} from {format_instant(self.anchor)}") from error

    def period_index_at(self, instant: datetime) -> int:
        """Returns the number of the period that holds the instant: the last boundary before it."""
        return self._locate(as_utc(instant))[0]

    def whole_period_at(self, instant: datetime) -> Period:
        """Returns the period of the grid that holds the instant."""
        _, start, end = self._locate(as_utc(instant))
        return Period(start, end)

    def period_at(self, instant: datetime, *, start: datetime | None = None) -> Period:
        """Returns the period that holds the instant, not reaching back before `start` (R8).

        Args:
            instant: Any instant, not before `start`.
            start: First instant that is billed at all; a period that it cuts is a stub.
        """
        whole = self.whole_period_at(instant)
        if start is None or start <= whole.start:
            return whole
        if start > instant:
            raise ValidationError(
                reason="PERIOD_OUT_OF_RANGE",
                message=f"{format_instant(instant)} lies before the start, {format_instant(start)}",
            )
        return Period(start, whole.end)

    def periods(self, start: datetime, *, count: int) -> list[Period]:
        """Returns consecutive periods from `start` on, each beginning where the last one ended.

        A start off the grid gives a stub up to the next boundary (R8). That also carries a change
        of zone: lay the cycle of the new zone from the end of the running period (R7).

        Args:
            start: Start of the first period.
            count: How many, 1 to 10,000.
        """
        _require_range("count", count, PERIOD_COUNT_MAX, reason="PERIOD_COUNT_OUT_OF_RANGE")
        start = as_utc(start)
        index = self.period_index_at(start)
        periods: list[Period] = []
        while len(periods) < count:
            index += 1
            end = self.boundary(index)
            # A zone that skipped a whole day has two boundaries at one instant: no period between.
            if start < end:
                periods.append(Period(start, end))
                start = end
        return periods

    def _locate(self, instant: datetime) -> tuple[int, datetime, datetime]:
        # The estimate counts months or days on the local calendar; it is off by one at most, so
        # the search takes the same time however far the instant lies from the anchor.
        index = self._estimate_index(instant)
        start = self.boundary(index)
        while start > instant:
            index -= 1
            start = self.boundary(index)
        end = self.boundary(index + 1)
        while end <= instant:
            index += 1
            start, end = end, self.boundary(index + 1)
        return index, start, end

    def _boundary_date(self, anchor_date: date, n: int) -> date:
        months = _MONTHS.get(self.unit)
        if months is None:
            days = _DAYS_PER_WEEK if self.unit is PeriodUnit.WEEK else 1
            return anchor_date + timedelta(days=n * self.every * days)
        year, month = _add_months(anchor_date, n * self.every * months)
        return _clamped_date(year, month, self.anchor_day or anchor_date.day)

    def _estimate_index(self, instant: datetime) -> int:
        there = local_time(instant, timezone=self.timezone)
        anchor = local_time(self.anchor, timezone=self.timezone)
        months = _MONTHS.get(self.unit)
        if months is None:
            days = _DAYS_PER_WEEK if self.unit is PeriodUnit.WEEK else 1
            return (there.date() - anchor.date()).days // (self.every * days)
        month_count = (there.year - anchor.year) * _MONTHS_PER_YEAR + there.month - anchor.month
        return month_count // (self.every * months)


def calendar_cycle(
    *, unit: PeriodUnit, timezone: str, at: datetime, every: int = 1
) -> BillingCycle:
    """Returns the cycle on the calendar: days, weeks from Monday, months, quarters, years (R9).

    Boundaries lie at local midnight. With `every` > 1 the count begins with the unit that holds
    `at`.

    Args:
        unit: What a period is counted in.
        timezone: IANA zone.
        at: An instant inside the first period.
        every: Units in one period, 1 to 1000.
    """
    today = _local_date(at, timezone=timezone)
    months = _MONTHS.get(unit)
    if months is not None:
        first_month = (today.month - 1) // months * months + 1
        today = date(today.year, first_month, 1)
    elif unit is PeriodUnit.WEEK:
        today -= timedelta(days=today.weekday())
    return _midnight_cycle(today, unit=unit, timezone=timezone, every=every)


def billing_day_cycle(
    *,
    day: int,
    timezone: str,
    at: datetime,
    every: int = 1,
    unit: PeriodUnit = PeriodUnit.MONTH,
) -> BillingCycle:
    """Returns the cycle on a fixed day of the month, at local midnight (R9).

    The anchor is that day of the local month that holds `at`, clamped to the month's length; later
    boundaries aim at the day itself again.

    Args:
        day: 1 to 31; a month without it uses its last day, so 31 is always the last.
        timezone: IANA zone.
        at: Where the count of months begins, e.g. the start of the subscription.
        every: Units in one period, 1 to 1000.
        unit: What a period is counted in.
    """
    _require_billing_day(day)
    today = _local_date(at, timezone=timezone)
    anchor_date = _clamped_date(today.year, today.month, day)
    return _midnight_cycle(anchor_date, unit=unit, timezone=timezone, every=every, day=day)


def weekday_cycle(*, weekday: int, timezone: str, at: datetime, every: int = 1) -> BillingCycle:
    """Returns the weekly cycle on a fixed day of the week, at local midnight (R2, R9).

    Args:
        weekday: 0 is Monday, 6 is Sunday, as in `date.weekday`.
        timezone: IANA zone.
        at: An instant inside the first period.
        every: Weeks in one period, 1 to 1000.
    """
    if not 0 <= weekday < _DAYS_PER_WEEK:
        raise ValidationError(
            reason="WEEKDAY_OUT_OF_RANGE", message=f"weekday is {weekday}; give 0 (Monday) to 6"
        )
    today = _local_date(at, timezone=timezone)
    anchor_date = today - timedelta(days=(today.weekday() - weekday) % _DAYS_PER_WEEK)
    return _midnight_cycle(anchor_date, unit=PeriodUnit.WEEK, timezone=timezone, every=every)


def month_day_cycle(
    *,
    month: int,
    day: int,
    timezone: str,
    at: datetime,
    every: int = 1,
    unit: PeriodUnit = PeriodUnit.YEAR,
) -> BillingCycle:
    """Returns the cycle on a fixed day of the year, e.g. 6 April, at local midnight (R9).

    The anchor is that day of the local year that holds `at`; 29 February is the 28th in a year
    without it.

    Args:
        month: 1 to 12.
        day: 1 to the length of the month, 29 for February.
        timezone: IANA zone.
        at: Where the count begins.
        every: Units in one period, 1 to 1000.
        unit: What a period is counted in.
    """
    _require_range("month", month, _MONTHS_PER_YEAR, reason="MONTH_DAY_OUT_OF_RANGE")
    longest = calendar.monthrange(_LEAP_YEAR, month)[1]
    _require_range("day", day, longest, reason="MONTH_DAY_OUT_OF_RANGE")
    anchor_date = _clamped_date(_local_date(at, timezone=timezone).year, month, day)
    return _midnight_cycle(anchor_date, unit=unit, timezone=timezone, every=every, day=day)


def time_zone(name: str) -> ZoneInfo:
    """Returns the IANA zone of this name.

    Raises:
        ValidationError: TIMEZONE_UNKNOWN; also for fixed offsets such as "+01:00" (R3).
    """
    try:
        if len(name) <= TIMEZONE_NAME_LENGTH_MAX and name.partition("/")[0] not in _NO_ZONES:
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass  # A name that is a directory or a path is as unknown as any other: refused below.
    raise ValidationError(
        reason="TIMEZONE_UNKNOWN",
        message=f"{name[:TIMEZONE_NAME_LENGTH_MAX]!r} is not a time zone; give an IANA name, "
        "e.g. Europe/Berlin or UTC",
    )


def local_time(instant: datetime, *, timezone: str) -> datetime:
    """Returns what the clocks of a zone show at an instant, without a zone.

    Raises:
        ValidationError: PERIOD_OUT_OF_RANGE where they show a year beyond 1 to 9999.
    """
    try:
        return instant.astimezone(time_zone(timezone)).replace(tzinfo=None)
    except OverflowError as error:
        raise _out_of_range(format_instant(instant)) from error


def _midnight_cycle(
    anchor_date: date, *, unit: PeriodUnit, timezone: str, every: int, day: int | None = None
) -> BillingCycle:
    try:
        anchor = _from_wall(anchor_date, _MIDNIGHT, timezone=timezone)
    except OverflowError as error:
        raise _out_of_range(f"midnight of {anchor_date} in {timezone}") from error
    return BillingCycle(
        anchor=anchor,
        unit=unit,
        every=every,
        timezone=timezone,
        anchor_day=day,
        anchor_time=_MIDNIGHT,
    )


def _local_date(at: datetime, *, timezone: str) -> date:
    return local_time(as_utc(at), timezone=timezone).date()


def _from_wall(day: date, wall_time: time, *, timezone: str) -> datetime:
    # fold=0 is all that R2 asks for: in an hour that occurs twice it is the first, and in a gap it
    # is read with the offset before it, which lands as far behind the gap as it lay inside.
    wall = datetime.combine(day, wall_time.replace(fold=0), tzinfo=time_zone(timezone))
    return wall.astimezone(UTC)


def _add_months(day: date, months: int) -> tuple[int, int]:
    count = day.year * _MONTHS_PER_YEAR + day.month - 1 + months
    return count // _MONTHS_PER_YEAR, count % _MONTHS_PER_YEAR + 1


def _clamped_date(year: int, month: int, day: int) -> date:
    if not 1 <= year <= date.max.year:
        raise OverflowError(f"year {year}")
    return date(year, month, min(day, calendar.monthrange(year, month)[1]))


def _require_billing_day(day: int) -> None:
    _require_range("billing day", day, _BILLING_DAY_MAX, reason="BILLING_DAY_OUT_OF_RANGE")


def _require_range(name: str, value: int, largest: int, *, reason: str) -> None:
    if not 1 <= value <= largest:
        raise ValidationError(reason=reason, message=f"{name} is {value}; give 1 to {largest}")


def _out_of_range(what: str) -> ValidationError:
    return ValidationError(
        reason="PERIOD_OUT_OF_RANGE", message=f"{what} lies beyond the years 1 to 9999"
    )
