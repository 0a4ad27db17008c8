"""What became of the events of a push, in numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tally:
    """Events by what became of them. Sums add up to the events of the push."""

    counted: int = 0
    """Counted, now or on an earlier try of the same rows. >= 0."""
    duplicates: int = 0
    """Copies of an event that was there already with the same content. >= 0."""
    conflicts: int = 0
    """Came under a used id with other content; kept for an operator. >= 0."""
    quarantined: int = 0
    """Wait for an operator, for a customer or for a meter. >= 0."""

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.counted + other.counted,
            self.duplicates + other.duplicates,
            self.conflicts + other.conflicts,
            self.quarantined + other.quarantined,
        )
