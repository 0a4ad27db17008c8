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
    repaired_count: int = 0
    """Minutes and customers that were made anew."""
    differences: list[str] = field(default_factory=list)
    """The first of the differences, each a line for people."""

    def tell(self, line: str) -> None:
        """Notes a difference."""
        self.difference_count += 1
        if len(self.differences) < DIFFERENCES_KEPT_MAX:
            self.differences.append(line)
