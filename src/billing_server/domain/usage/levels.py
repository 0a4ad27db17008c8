"""Levels that hold until the next one, weighted by the time for which they hold (R19).

Example: 10 GB for 10 days and then 20 GB for 20 days of a period of 30 days make 16.666… GB.
"""

from collections.abc import Iterable
from typing import Protocol


class LevelChange(Protocol):
    """What an event or an adjustment does to a level."""

    @property
    def time_us(self) -> int:
        """When, in microseconds since 1970 UTC."""

    @property
    def value(self) -> int:
        """The new level, or what is added to the level before it."""

    @property
    def is_change(self) -> bool:
        """Whether it is added."""


def level_before(latest_first: Iterable[LevelChange]) -> int:
    """Returns the level that holds after some changes: 0 where there is none.

    The true, signed level is carried over the border of a period, never what was charged for it
    (R18).

    Args:
        latest_first: the changes before an instant, the last one first; not read further back than
            to the last one that sets a level.
    """
    level = 0
    for change in latest_first:
        level += change.value
        if not change.is_change:
            break
    return level


def level_time(level: int, *, changes: Iterable[LevelChange], start_us: int, end_us: int) -> int:
    """Returns Σ level × microseconds over [start_us, end_us).

    Args:
        level: that holds at the start.
        changes: inside the span, by (time, id).
        start_us: microseconds since 1970 UTC.
        end_us: the same, exclusive, not before the start.
    """
    total, since = 0, start_us
    for change in changes:
        if change.time_us >= end_us:
            break
        total += level * (change.time_us - since)
        since = change.time_us
        level = level + change.value if change.is_change else change.value
    return total + level * (end_us - since)
