"""Thresholds of a limit: told once for each window and direction (R94)."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class ThresholdDirection(StrEnum):
    """Which way a threshold was passed."""

    RISING = "rising"
    FALLING = "falling"


@dataclass(frozen=True, slots=True)
class Crossing:
    """A threshold that was passed."""

    share: Decimal
    """The threshold, as a share of the limit."""
    direction: ThresholdDirection
    """Which way."""


def crossings(
    shares: Sequence[Decimal], *, passed: Decimal | None, used: int, maximum: int
) -> tuple[tuple[Crossing, ...], Decimal | None]:
    """Returns the thresholds that are newly passed, in the order of passing, and the highest one.

    Use that rises past several at once tells of each. Use falls when it is taken back, and in
    proportion when the limit is raised.

    Args:
        shares: The limit's thresholds, rising.
        passed: The highest one that was told as passed; None: none is.
        used: In the limit's smallest unit.
        maximum: The limit in force.
    """
    reached = [share for share in shares if used >= share * maximum and (used > 0 or maximum > 0)]
    highest = max(reached, default=None)
    before = Decimal(0) if passed is None else passed
    rising = [Crossing(share, ThresholdDirection.RISING) for share in reached if share > before]
    falling = [
        Crossing(share, ThresholdDirection.FALLING)
        for share in reversed(shares)
        if share <= before and share not in reached
    ]
    return (*rising, *falling), highest
