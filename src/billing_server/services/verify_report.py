"""What a check of all usage found."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

DIFFERENCES_KEPT_MAX: Final = 100
"""Differences that are told one by one; the rest is counted."""


class VerifyMode(Enum):
    """What is done with differences."""

    REPORT = "report"
    REPAIR = "repair"


@dataclass(slots=True)
class VerifyReport:
    """What a check found."""

    event_count: int = 0
    """Counted events that were read."""
    bucket_count: int = 0
    """Minute buckets that were compared."""
    charge_count: int = 0
    """Running charges that were compared."""
    difference_count: int = 0
    """What differed."""
    differences: list[str] = field(default_factory=list)
    """The first of the differences, each a line for people."""
    unrated: dict[str, str] = field(default_factory=dict)
    """Subscriptions that cannot be rated, each with a line for people: they have no charges that
    could be compared."""
    wrong_buckets: set[str] = field(default_factory=set)
    """Customers whose minute buckets differ and were left so: their charges are compared with
    these."""
    repaired_count: int = 0
    """Differences that are gone since."""
    left: list[str] = field(default_factory=list)
    """What a repair could not make right, each a line for people."""

    def tell(self, line: str) -> None:
        """Notes a difference."""
        self.difference_count += 1
        if len(self.differences) < DIFFERENCES_KEPT_MAX:
            self.differences.append(line)

    def settle(self, again: "VerifyReport") -> None:
        """Notes what a second check, after a repair, finds to be left.

        Args:
            again: what the second check found.
        """
        unrated = [line for key, line in again.unrated.items() if key not in self.unrated]
        self.left = [*again.differences, *unrated]
        left_count = again.difference_count + len(unrated)
        self.repaired_count = max(self.difference_count - left_count, 0)
