"""What a meter has done so far, as numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterStats:
    """Counts since the meter was made, or since the fork in a child process.

    At every moment `recorded = accepted + rejected + dropped + buffered`.
    """

    recorded: int
    """Events handed to `record`. >= 0."""
    accepted: int
    """Events that the agent answered for: on its disk, counted exactly once. >= 0."""
    rejected: int
    """Events refused for their content, by the agent or before sending; each was logged. >= 0."""
    dropped: int
    """Events lost here: the buffer was full, or the meter was closed without an agent. >= 0."""
    buffered: int
    """Events that wait for the agent, those in flight included. >= 0."""
    retries: int
    """Requests that had to be sent again. >= 0."""
    last_error: str
    """Why the last request failed or the last event was refused; empty where none was."""
    settlements_waiting: int = 0
    """Reservations that have ended and whose end no agent has taken yet. >= 0."""
    settlements_lost: int = 0
    """Reservations that have ended and of which no agent will hear; each was logged. >= 0."""
