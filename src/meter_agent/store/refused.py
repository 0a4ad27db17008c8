"""Events that the server refuses for good: set aside on the agent's disk, never deleted."""

import sqlite3
from dataclasses import dataclass
from typing import Final

from meter_agent.core.blocks import Block

_INSERT: Final = (
    # The same position may come again, where the server never heard that it was set aside.
    "INSERT OR REPLACE INTO refused_block (seq, receive_time_us, reason, message, payload) "
    "VALUES (?, ?, ?, ?, ?)"
)
COUNT_REFUSED: Final = "SELECT count(*) FROM refused_block"


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """One event that the server refuses, with all that is needed to repair it."""

    seq: int
    """Its position, >= 1."""
    receive_time_us: int
    """When the agent received it, microseconds since 1970 UTC."""
    reason: str
    """Reason of the server, `UPPER_SNAKE`; may be empty."""
    message: str
    """What the server said; for people."""
    payload: bytes
    """A serialized `UsageEvents` with the one event."""


def refused_from_block(block: Block, *, reason: str, message: str) -> RefusedEvent:
    """Returns what is kept of a block of one event that the server refuses.

    Args:
        block: With one event.
        reason: Of the server, `UPPER_SNAKE`; may be empty.
        message: What the server said.
    """
    return RefusedEvent(block.first_seq, block.receive_time_us, reason, message, block.events)


def insert_refused(connection: sqlite3.Connection, refused: RefusedEvent) -> None:
    """Writes a refused event in the transaction that is open."""
    row = (
        refused.seq,
        refused.receive_time_us,
        refused.reason,
        refused.message,
        refused.payload,
    )
    connection.execute(_INSERT, row)
