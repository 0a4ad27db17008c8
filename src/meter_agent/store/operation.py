"""A change of leases and reservations that takes part in a commit, with the usage it records."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from meter_agent.store.group import Append, Ticket
from metering.errors import MeteringError


class Ledger(Protocol):
    """Leases and reservations in memory, and their rows. Used by the writer's thread alone."""

    def load(self, connection: sqlite3.Connection) -> None:
        """Reads all rows anew: what is in memory is given up."""
        ...

    def begin(self, connection: sqlite3.Connection) -> None:
        """Begins a transaction on this connection."""
        ...

    def write(self, *, last_seq: int) -> int:
        """Writes every row that was changed since `begin`, and returns how many.

        Args:
            last_seq: Highest position of the events of this transaction.
        """
        ...

    def committed(self) -> None:
        """Keeps what was changed: it is durable."""
        ...

    def rolled_back(self) -> None:
        """Forgets what was changed since `begin`."""
        ...


@dataclass(frozen=True, slots=True)
class Recorded:
    """Usage that an operation records."""

    events: bytes
    """A serialized `UsageEvents`."""
    event_count: int
    """Number of events in it, >= 1."""


@dataclass(slots=True, eq=False, kw_only=True)
class Operation:
    """One such change."""

    run: Callable[[], Recorded | None]
    """Called in the writer's thread, inside the transaction; returns the usage to record with it.
    What it raises refuses this operation alone: it must not have changed anything by then."""
    ticket: Ticket
    """Where the caller waits."""
    events: bytes = b""
    """What it is going to record, about: for the disk budget."""
    event_count: int = 0
    """Most events that it records, >= 0."""
    receive_time_us: int = 0
    """When they were received, microseconds since 1970 UTC."""
    oldest_event_time_us: int = 0
    """Oldest event time among them, microseconds since 1970 UTC."""
    caller: str = ""
    """Name of the service, for a fair division of the disk budget; may be empty."""

    def append(self, recorded: Recorded) -> Append:
        """Returns what is appended for it."""
        return Append(
            recorded.event_count,
            self.receive_time_us,
            self.oldest_event_time_us,
            recorded.events,
            self.ticket,
            self.caller,
        )


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What a commit made durable, and what took no part in it."""

    appends: Sequence[Append]
    """With those of the operations."""
    refused: Sequence[tuple[Operation, MeteringError]] = ()
    """Operations that refused themselves, with the reason."""


def run_all(operations: Sequence[Operation], appends: Sequence[Append]) -> CommitResult:
    """Runs the operations in order; what each records follows the appends.

    Args:
        operations: Of the group.
        appends: Of the group; usage without an operation.
    """
    if not operations:
        return CommitResult(appends)
    appended = list(appends)
    refused: list[tuple[Operation, MeteringError]] = []
    for operation in operations:
        try:
            recorded = operation.run()
        except MeteringError as error:
            refused.append((operation, error))
            continue
        if recorded is not None:
            appended.append(operation.append(recorded))
    return CommitResult(appended, refused)
