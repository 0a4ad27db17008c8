"""What one commit holds: appends of callers, joined into rows."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from meter_agent.core.blocks import block_checksum
from metering.errors import DeadlineError, MeteringError

JOINED_EVENT_COUNT_MAX: Final = 1_000
"""Events of a row that was joined from several requests."""
JOINED_BYTES_MAX: Final = 256 * 1024
"""Bytes of a row that was joined from several requests."""
JOINED_SPAN_US: Final = 100_000
"""Requests this far apart keep their own receive times, microseconds."""

Row = tuple[int, int, int, int, int, bytes]
"""first_seq, event_count, receive_time_us, oldest_event_time_us, end_bytes, events."""


INSERT_ROW: Final = (
    "INSERT INTO block (first_seq, event_count, receive_time_us, oldest_event_time_us, end_bytes, "
    "events, events_crc32) VALUES (?, ?, ?, ?, ?, ?, ?)"
)


class Ticket:
    """A caller's place in a commit: it waits here until its events are on disk."""

    __slots__ = ("_done", "_error", "span")

    def __init__(self) -> None:
        self.span = range(0)
        """Set before it is resolved: which of all events made durable these are, counted from 1;
        see `applied_watch`."""
        # A bare lock is the cheapest thing that one thread can wait on and another can open.
        self._done = threading.Lock()
        self._done.acquire()
        self._error: MeteringError | None = None

    def refuse(self, error: MeteringError) -> None:
        """Says why what the caller asked for took no part in the commit; called before `resolve`.

        Args:
            error: Why.
        """
        self._error = error

    def resolve(self, error: MeteringError | None = None) -> None:
        """Lets the caller go on: durable where `error` is None. Called once, by the writer."""
        if error is not None:
            self._error = error
        self._done.release()

    def wait(self, timeout_seconds: float | None = None) -> None:
        """Returns once the events are durable.

        Args:
            timeout_seconds: How long to wait, >= 0; None: without end.

        Raises:
            MeteringError: Why the events are not durable.
            DeadlineError: NOT_DURABLE_IN_TIME: they may still become so.
        """
        timeout = -1.0 if timeout_seconds is None else max(0.0, timeout_seconds)
        if not self._done.acquire(timeout=timeout):
            raise DeadlineError(
                reason="NOT_DURABLE_IN_TIME",
                message="the disk did not take the events within the call's deadline; send them "
                "again with the same ids",
            )
        if self._error is not None:
            raise self._error


@dataclass(frozen=True, slots=True)
class Append:
    """Good events of one request, to be made durable together."""

    event_count: int
    """Number of events, >= 1."""
    receive_time_us: int
    """When they were received, microseconds since 1970 UTC."""
    oldest_event_time_us: int
    """Oldest event time among them, microseconds since 1970 UTC."""
    events: bytes
    """A serialized `UsageEvents`."""
    ticket: Ticket
    """Where the caller waits."""
    caller: str = ""
    """Name of the service, for a fair division of the disk budget; may be empty."""


class DurableCount:
    """Counts the events made durable, in order. Used by the writer's thread.

    Args:
        total: Events that are there at the start, >= 0.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        """Events so far."""
        self._surfaced_count = 0

    def book(self, appends: Sequence[Append], *, surfaced_count: int) -> None:
        """Gives the events of a commit their places.

        Args:
            appends: In order.
            surfaced_count: Events of commits that seemed to have failed and were found on disk all
                the same, in all; they lie before these.
        """
        self.total += surfaced_count - self._surfaced_count
        self._surfaced_count = surfaced_count
        for item in appends:
            first = self.total + 1
            self.total += item.event_count
            item.ticket.span = range(first, self.total + 1)


def rows_from_appends(appends: Sequence[Append], *, next_seq: int, end_bytes: int) -> list[Row]:
    """Returns the rows that hold the appends, in order, from position `next_seq` on.

    Small requests that came together share a row, with the receive time of the first: serialized
    events join byte by byte, and a thousand one-event rows would cost a thousand times the row.

    Args:
        appends: What callers wait for, in order of arrival.
        next_seq: Position of the first event.
        end_bytes: Bytes of all rows ever written so far.
    """
    rows: list[Row] = []
    group: list[Append] = []
    group_events = group_bytes = 0
    for append in appends:
        if group and (
            group_events + append.event_count > JOINED_EVENT_COUNT_MAX
            or group_bytes + len(append.events) > JOINED_BYTES_MAX
            or abs(append.receive_time_us - group[0].receive_time_us) > JOINED_SPAN_US
        ):
            rows.append(_row(group, next_seq=next_seq, end_bytes=end_bytes))
            next_seq += group_events
            end_bytes += group_bytes
            group, group_events, group_bytes = [], 0, 0
        group.append(append)
        group_events += append.event_count
        group_bytes += len(append.events)
    if group:
        rows.append(_row(group, next_seq=next_seq, end_bytes=end_bytes))
    return rows


def _row(group: Sequence[Append], *, next_seq: int, end_bytes: int) -> Row:
    events = group[0].events if len(group) == 1 else b"".join([item.events for item in group])
    return (
        next_seq,
        sum(item.event_count for item in group),
        group[0].receive_time_us,
        min(item.oldest_event_time_us for item in group),
        end_bytes + len(events),
        events,
    )


def checked_row(row: Row) -> tuple[int | bytes, ...]:
    """Returns a row with its checksum."""
    first_seq, event_count, receive_time_us, oldest_event_time_us, _, events = row
    crc32 = block_checksum(
        first_seq, event_count, receive_time_us, oldest_event_time_us, events=events
    )
    return (*row, crc32)
