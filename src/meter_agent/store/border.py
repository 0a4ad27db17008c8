"""What a commit leaves behind, for those who check that nothing is lost."""

from dataclasses import dataclass

from meter_agent.core.positions import Positions


@dataclass(frozen=True, slots=True)
class Border:
    """Two numbers of the same commit, for the conservation line."""

    accepted_count: int
    """Events made durable since the process started, >= 0."""
    positions: Positions
    """The agent's place in the stream."""
    damaged_count: int = 0
    """Events that waited and were lost to damage of the disk since the process started; below 0
    where a repair made more wait than did before."""
