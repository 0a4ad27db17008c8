"""A buffer with millions of events in it, as an agent has after a long outage of its server."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from meter_agent.store.data_dir import DATABASE_NAME
from meter_agent.store.database import open_writer
from meter_agent.store.group import Append, Ticket
from meter_agent.store.outbox import Outbox
from metering.api.v1.ingest_pb2 import UsageEvents
from metering.ids import uuid7
from tests.bench.server_world import CUSTOMER_COUNT, NOW, customer_name, make_event

BLOCK_EVENT_COUNT = 1_000
"""What the SDK sends in one request under load."""
COMMIT_BLOCK_COUNT = 100


def make_backlog(directory: Path, *, event_count: int) -> int:
    """Fills a new data directory; returns the bytes of the events.

    Each event is one of 1,000 customers of `server_world`, with two quantities and two dimensions,
    under an id of its own. They were used at the time of that world and received just now.
    """
    directory.mkdir()
    path = directory / DATABASE_NAME
    outbox = Outbox(path, connection=open_writer(path))
    blocks = usage_blocks()
    try:
        for start in range(0, event_count, COMMIT_BLOCK_COUNT * BLOCK_EVENT_COUNT):
            left = min(COMMIT_BLOCK_COUNT, (event_count - start) // BLOCK_EVENT_COUNT)
            outbox.append_all(_append(next(blocks)) for _ in range(left))
            if outbox.is_checkpoint_due:
                outbox.checkpoint()
        return outbox.state.kept_bytes
    finally:
        outbox.close()


def copy_backlog(source: Path, target: Path) -> None:
    """Copies a data directory that no agent uses; the copy is the same disk, as it was."""
    target.mkdir()
    shutil.copyfile(source / DATABASE_NAME, target / DATABASE_NAME)


def usage_blocks() -> Iterator[bytes]:
    """Yields serialized `UsageEvents` of 1,000 events, no two of which are the same."""
    templates = [_template(number) for number in range(CUSTOMER_COUNT)]
    while True:
        parts = []
        for head, tail in templates[:BLOCK_EVENT_COUNT]:
            parts += [head, uuid7().encode(), tail]
        yield b"".join(parts)


def _template(number: int) -> tuple[bytes, bytes]:
    """Returns what stands before and behind the id in a customer's serialized event."""
    event_id = uuid7()
    event = make_event(
        event_id,
        customer=customer_name(number),
        moment_ms=int(NOW.timestamp() * 1_000) - number * 60,
        values=(number * 37 % 8_000 + 1, number * 11 % 2_000 + 1),
    )
    head, _, tail = UsageEvents(events=[event]).SerializeToString().partition(event_id.encode())
    return head, tail


def _append(events: bytes) -> Append:
    return Append(
        event_count=BLOCK_EVENT_COUNT,
        receive_time_us=time.time_ns() // 1_000,
        oldest_event_time_us=int(NOW.timestamp() * 1_000_000) - 60_000_000,
        events=events,
        ticket=Ticket(),
    )
