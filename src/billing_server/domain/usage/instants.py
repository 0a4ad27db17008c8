"""Instants as whole numbers, for what runs for every event.

Microseconds and minutes are both counted from 1970-01-01T00:00:00Z.
"""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MICROSECONDS_PER_MINUTE = 60_000_000
INT64_MAX = 2**63 - 1


def microseconds_from_instant(value: datetime) -> int:
    """Returns whole microseconds; `value` must carry a zone."""
    if value.tzinfo is None:
        raise ValueError("an instant without a time zone cannot be stored")
    return (value - EPOCH) // MICROSECOND


def instant_from_microseconds(value: int) -> datetime:
    """Returns the UTC instant `value` microseconds after 1970."""
    return EPOCH + timedelta(microseconds=value)


def minute_from_instant(value: datetime) -> int:
    """Returns whole minutes, rounded down."""
    return microseconds_from_instant(value) // MICROSECONDS_PER_MINUTE


def instant_from_minute(value: int) -> datetime:
    """Returns the UTC instant at which a minute begins."""
    return EPOCH + timedelta(minutes=value)
