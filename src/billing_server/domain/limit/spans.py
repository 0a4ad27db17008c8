"""The window of a limit that holds an instant: an account of its own, never reset in place."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from billing_server.domain.catalog.limit import Limit, LimitSubject, WindowUnit
from metering.clock import format_instant
from metering.period import Period, PeriodUnit, calendar_cycle, time_zone

_CALENDAR: Final = {
    WindowUnit.DAY: PeriodUnit.DAY,
    WindowUnit.WEEK: PeriodUnit.WEEK,
    WindowUnit.MONTH: PeriodUnit.MONTH,
}
_HOUR: Final = timedelta(hours=1)
_MEANING_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class LimitSpan:
    """One window of a limit."""

    window_id: str
    """Unique for the customer and limit, e.g. `2026-03-01T00:00:00Z/day/5e8a1f03`."""
    start: datetime | None = None
    """First instant inside, UTC; None: it always was."""
    end: datetime | None = None
    """First instant after, UTC; None: it never ends."""

    def contains(self, instant: datetime) -> bool:
        """Tells whether an instant lies inside."""
        is_begun = self.start is None or self.start <= instant
        return is_begun and (self.end is None or instant < self.end)


def span_at(
    limit: Limit, *, at: datetime, timezone: str, billing_period: Period | None
) -> LimitSpan:
    """Returns the window of a limit that holds an instant (R93).

    The id names what is counted as well: a limit that comes to count something else under the same
    key gets another account.

    Args:
        limit: whose window.
        at: an instant, UTC.
        timezone: the customer's; hours, days, weeks and months are local to it.
        billing_period: that holds the instant; None: none does, and a calendar month stands in.
    """
    meaning = _meaning(limit)
    unit = limit.window.unit
    if limit.subject in (LimitSubject.BALANCE, LimitSubject.CONCURRENCY):
        return LimitSpan(f"{limit.subject}/{meaning}")
    match unit:
        case WindowUnit.MINUTE | WindowUnit.LIFETIME | WindowUnit.ROLLING:
            return LimitSpan(f"{limit.window}/{meaning}")
        case WindowUnit.HOUR:
            period = _hour_at(at, timezone=timezone)
        case WindowUnit.BILLING_PERIOD if billing_period is not None:
            period = billing_period
        case _:
            period = calendar_cycle(
                unit=_CALENDAR.get(unit, PeriodUnit.MONTH), timezone=timezone, at=at
            ).whole_period_at(at)
    window_id = f"{format_instant(period.start)}/{unit}/{meaning}"
    return LimitSpan(window_id, period.start, period.end)


def _hour_at(at: datetime, *, timezone: str) -> Period:
    """Returns the hour of the local clock; zones may stand half an hour apart."""
    offset = at.astimezone(time_zone(timezone)).utcoffset() or timedelta(0)
    wall = at + offset
    start = wall.replace(minute=0, second=0, microsecond=0) - offset
    return Period(start, start + _HOUR)


def _meaning(limit: Limit) -> str:
    """Returns digits that change with what the limit counts, and with nothing else."""
    content = json.dumps([limit.subject, limit.meter, sorted(limit.where.items())])
    return hashlib.sha256(content.encode()).hexdigest()[:_MEANING_DIGITS]
