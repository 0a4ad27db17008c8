"""Instants as protobuf timestamps."""

from datetime import datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from billing_server.domain.usage.instants import microseconds_from_instant

MICROSECONDS_PER_SECOND: Final = 1_000_000
NANOSECONDS_PER_MICROSECOND: Final = 1_000


def timestamp_from_instant(value: datetime) -> Timestamp:
    """Returns an aware instant as a protobuf timestamp, to the microsecond."""
    seconds, microseconds = divmod(microseconds_from_instant(value), MICROSECONDS_PER_SECOND)
    return Timestamp(seconds=seconds, nanos=microseconds * NANOSECONDS_PER_MICROSECOND)
