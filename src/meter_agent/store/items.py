"""What can come out of the writer's queue."""

from collections.abc import Callable
from dataclasses import dataclass

from meter_agent.core.positions import Positions
from meter_agent.store.group import Append, Ticket
from meter_agent.store.operation import Operation
from meter_agent.store.refused import RefusedEvent


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of the positions that takes part in the next commit."""

    change: Callable[[Positions], Positions]
    """Pure; called in the writer's thread."""
    ticket: Ticket
    """Where the caller waits."""
    refused: RefusedEvent | None = None
    """An event that is set aside by the change."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Asks for a repair when it comes out of the queue."""

    cause: str


class Stop:
    """Ends the writer's thread when it comes out of the queue."""


CommitItem = Append | Operation | Transition
"""What takes part in a commit."""
