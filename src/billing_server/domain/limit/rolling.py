"""Rolling windows: use is booked late and forgotten later still, so any span holds the limit.

Use is booked in the bucket of the latest moment at which its lease could be spent, or of receipt
where that is earlier; what is counted reaches back one window and one bucket. So whatever was used
in any span of the window's length is counted at its end.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

BUCKETS: Final = 60
"""Buckets of a window: what is counted beyond its length is one in so many."""
BUCKET_MIN: Final = timedelta(minutes=1)
"""The shortest bucket."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def bucket_length(window: timedelta) -> timedelta:
    """Returns the length of one bucket, in whole minutes."""
    return max(BUCKET_MIN, window // BUCKETS // BUCKET_MIN * BUCKET_MIN)


def booking_bucket(
    *, latest_use: datetime | None, received: datetime, window: timedelta
) -> datetime:
    """Returns the start of the bucket in which use is booked.

    Args:
        latest_use: When its lease could be spent last; None: it has no time to live.
        received: When the server counted the use.
        window: Length of the rolling window.
    """
    moment = received if latest_use is None else min(latest_use, received)
    length = bucket_length(window)
    return _EPOCH + (moment - _EPOCH) // length * length


def counted_since(now: datetime, *, window: timedelta) -> datetime:
    """Returns the start of the first bucket that still counts."""
    length = bucket_length(window)
    return _EPOCH + (now - window - _EPOCH) // length * length
