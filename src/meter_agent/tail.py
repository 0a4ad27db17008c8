"""What passes by: events as they become durable, read from the buffer without touching it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from meter_agent.core.blocks import Block
from meter_agent.core.positions import Positions
from meter_agent.store.data_dir import DATABASE_NAME
from meter_agent.store.database import load_positions, open_reader
from meter_agent.store.reader import OutboxReader
from metering.api.v1.ingest_pb2 import UsageEvents
from metering.api.v1.usage_pb2 import UsageEvent
from metering.clock import format_instant
from metering.errors import NotFoundError, UnavailableError

PAGE_EVENT_COUNT_MAX: Final = 1_000
PAGE_BYTES_MAX: Final = 1024 * 1024
"""Of events in memory at once, however long the buffer is."""
POLL_SECONDS: Final = 0.2
COUNT_MAX: Final = 1_000_000
"""Events that one call prints at most."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class BlockSource(Protocol):
    """Pages of blocks by position."""

    def page(self, *, first_seq: int, event_count_max: int, bytes_max: int) -> list[Block]:
        """Returns the blocks from a position on, within both bounds."""
        ...


class TailReader:
    """Read-only eyes on the buffer of an agent that may run.

    Args:
        data_directory: Of the agent.

    Raises:
        NotFoundError: DATABASE_MISSING.
        MeteringError: It cannot be read.
    """

    def __init__(self, data_directory: Path) -> None:
        path = data_directory / DATABASE_NAME
        try:
            is_there = path.exists()
        except OSError as error:
            raise UnavailableError(
                reason="DATABASE_UNAVAILABLE",
                message=f"{path} cannot be read ({error.strerror}); run this as the agent's user",
            ) from error
        if not is_there:
            raise NotFoundError(
                reason="DATABASE_MISSING",
                message=f"there is no buffer at {path}; give the agent's directory with --data-dir",
            )
        self._path = path
        self.reader: Final = OutboxReader(path)

    def positions(self) -> Positions:
        """Returns where the stream stands now."""
        connection = open_reader(self._path)
        try:
            return load_positions(connection)
        finally:
            connection.close()

    def close(self) -> None:
        """Closes the connection."""
        self.reader.close()


class Stopping(Protocol):
    """Tells that somebody wants an end."""

    def is_set(self) -> bool:
        """Returns whether an end is wanted."""
        ...

    def wait(self, seconds: float, /) -> bool:
        """Waits for it; returns whether it is wanted."""
        ...


def follow(
    source: BlockSource,
    *,
    first_seq: int,
    stopping: Stopping,
    wait: Callable[[], object] | None = None,
) -> Iterator[tuple[int, datetime, UsageEvent]]:
    """Yields events with position and receive time, from a position on, as they come.

    Rows that were shipped and deleted before they were looked at are passed over.

    Args:
        source: The buffer.
        first_seq: Position of the first event, >= 1.
        stopping: Ends it.
        wait: Called where nothing is there; waits `POLL_SECONDS` where None.
    """
    pause = wait or (lambda: stopping.wait(POLL_SECONDS))
    while not stopping.is_set():
        page = source.page(
            first_seq=first_seq, event_count_max=PAGE_EVENT_COUNT_MAX, bytes_max=PAGE_BYTES_MAX
        )
        if not page:
            pause()
            continue
        for block in page:
            received = _EPOCH + timedelta(microseconds=block.receive_time_us)
            for offset, event in enumerate(UsageEvents.FromString(block.events).events):
                yield block.first_seq + offset, received, event
        first_seq = page[-1].last_seq + 1


def to_json(position: int, *, received: datetime, event: UsageEvent) -> dict[str, Any]:
    """Returns an event for a program."""
    return {
        "position": position,
        "receive_time": format_instant(received),
        "event_id": event.event_id,
        "customer_id": event.customer_id,
        "event_time": _event_time(event),
        "quantities": dict(sorted(event.quantities.items())),
        "dimensions": dict(sorted(event.dimensions.items())),
    }


def to_text(position: int, *, received: datetime, event: UsageEvent) -> str:
    """Returns an event as one line for a person; control characters cannot reach a terminal."""
    pairs = [*sorted(event.quantities.items()), *sorted(event.dimensions.items())]
    shown = " ".join(f"{name}={value}" for name, value in pairs)
    line = f"{format_instant(received)} {position} {event.customer_id} {event.event_id} {shown}"
    return "".join(character if character.isprintable() else "?" for character in line)


def _event_time(event: UsageEvent) -> str | None:
    if not event.HasField("event_time"):
        return None
    return format_instant(event.event_time.ToDatetime(tzinfo=UTC))
