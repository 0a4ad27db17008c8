"""Time: the clock that is handed in, and instants and durations as text.

Every instant inside the product is an aware datetime in UTC with microseconds.
"""

import re
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from metering.errors import ValidationError

INSTANT_TEXT_LENGTH_MAX: Final = 40
"""Characters: more than any RFC 3339 instant with nine fraction digits needs (35)."""
DURATION_TEXT_LENGTH_MAX: Final = 40
"""Characters: more than any duration that a setting needs."""

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(?:\.[0-9]{1,9})?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_DURATION = re.compile(
    r"P(?:(?P<weeks>[0-9]{1,6})W|"
    r"(?:(?P<days>[0-9]{1,7})D)?"
    r"(?:T(?=[0-9])(?:(?P<hours>[0-9]{1,9})H)?(?:(?P<minutes>[0-9]{1,9})M)?"
    r"(?:(?P<seconds>[0-9]{1,12})(?:\.(?P<fraction>[0-9]{1,6}))?S)?)?)"
)


class Clock(Protocol):
    """Where time comes from. Pure code is handed one and never asks the system."""

    def now(self) -> datetime:
        """Returns the present instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Returns seconds that only rise, from an arbitrary start: for time-outs."""
        ...


class SystemClock:
    """The clock of the machine."""

    __slots__ = ()

    def now(self) -> datetime:
        """Returns the present instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Returns the system's monotonic seconds."""
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told: tests, simulations, test databases (R12).

    Args:
        start: First instant, aware.
    """

    __slots__ = ("_lock", "_now", "_start")

    def __init__(self, start: datetime) -> None:
        self._lock = threading.Lock()
        self._start = as_utc(start)
        self._now = self._start

    def now(self) -> datetime:
        """Returns the instant last set, aware, in UTC."""
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        """Returns the seconds that the clock has been moved since its start."""
        return (self.now() - self._start).total_seconds()

    def advance(self, span: timedelta) -> None:
        """Moves the clock forward by `span`.

        Raises:
            ValidationError: CLOCK_BACKWARDS where `span` is negative.
        """
        with self._lock:
            self._move(self._now + span)

    def advance_to(self, instant: datetime) -> None:
        """Moves the clock forward to `instant`; the present instant is allowed.

        Raises:
            ValidationError: CLOCK_BACKWARDS where `instant` lies before the present.
        """
        with self._lock:
            self._move(as_utc(instant))

    def _move(self, instant: datetime) -> None:
        if instant < self._now:
            raise ValidationError(
                reason="CLOCK_BACKWARDS",
                message=f"the clock stands at {format_instant(self._now)} and cannot go back to "
                f"{format_instant(instant)}; give a later instant",
            )
        self._now = instant


def as_utc(value: datetime) -> datetime:
    """Returns the same instant in UTC.

    Raises:
        ValidationError: INSTANT_NAIVE where `value` names no zone, so is not an instant.
    """
    if value.tzinfo is UTC:
        return value
    if value.utcoffset() is None:
        raise ValidationError(
            reason="INSTANT_NAIVE",
            message=f"{value.isoformat()} names no time zone; give an aware datetime",
        )
    return value.astimezone(UTC)


def parse_instant(text: str) -> datetime:
    """Reads an RFC 3339 instant, e.g. "2026-03-01T00:00:00Z" or "…T01:00:00+01:00".

    Up to nine fraction digits are read; what is finer than a microsecond is cut off, never rounded
    up, so that an instant just before a boundary stays before it.

    Raises:
        ValidationError: INSTANT_MALFORMED; a text without zone or offset is refused.
    """
    if len(text) <= INSTANT_TEXT_LENGTH_MAX and _INSTANT.fullmatch(text):
        try:
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass  # 31 February, or year 1 before the offset: refused below like any other text.
    raise ValidationError(
        reason="INSTANT_MALFORMED",
        message=f"{text[:INSTANT_TEXT_LENGTH_MAX]!r} is not an instant; write it as RFC 3339 with "
        "Z or an offset, e.g. 2026-03-01T00:00:00Z",
    )


def format_instant(value: datetime) -> str:
    """Returns the instant in UTC as RFC 3339 with "Z".

    Fraction digits are left out where zero and otherwise stand without trailing zeros:
    "2026-03-01T00:00:00Z", "2026-03-01T00:00:00.5Z".
    """
    text = as_utc(value).replace(tzinfo=None).isoformat()
    if "." in text:
        text = text.rstrip("0")
    return text + "Z"


def floor_to_minute(value: datetime) -> datetime:
    """Returns the start of the UTC minute that holds `value`."""
    return as_utc(value).replace(second=0, microsecond=0)


def parse_duration(text: str) -> timedelta:
    """Reads an ISO 8601 duration of fixed length: weeks, or days, hours, minutes and seconds.

    "PT1H", "P14D", "P1DT12H", "PT0.5S", "P2W". Years and months have no fixed length and are
    refused, as are signs.

    Raises:
        ValidationError: DURATION_MALFORMED.
    """
    match = _DURATION.fullmatch(text) if len(text) <= DURATION_TEXT_LENGTH_MAX else None
    parts = {} if match is None else {k: v for k, v in match.groupdict().items() if v is not None}
    if not parts:
        raise ValidationError(
            reason="DURATION_MALFORMED",
            message=f"{text[:DURATION_TEXT_LENGTH_MAX]!r} is not a duration; write it as ISO 8601 "
            "in weeks, days, hours, minutes and seconds, e.g. PT1H or P14D",
        )
    fraction = parts.pop("fraction", "")
    return timedelta(
        microseconds=int(fraction.ljust(6, "0")) if fraction else 0,
        **{unit: int(digits) for unit, digits in parts.items()},
    )
