"""Finds the one event for which the server refuses a push, so that all others go on.

A push that is refused for its content would be refused for ever, and everything behind it would
wait. So pages are halved until the event stands alone. Whether it is really the event's fault is
believed where the server has applied another push since the last such event; a server that refuses
everything is first given time, or it would have the whole buffer set aside.
"""

import sys
from enum import Enum


class RefusalStep(Enum):
    """What to do after a push was refused for its content."""

    NARROW = "narrow"
    """Push again at once: the page is smaller now."""
    WAIT = "wait"
    """Push the same event again later: the server may be at fault."""
    SET_ASIDE = "set_aside"
    """The event stands alone and is at fault: it goes out of the way."""


class Isolation:
    """Bounds pages while an event is looked for."""

    def __init__(self) -> None:
        self._event_count_max = sys.maxsize
        self._has_applied = False
        self._waited_seq = 0

    @property
    def event_count_max(self) -> int:
        """Events of the next push, >= 1."""
        return self._event_count_max

    def push_applied(self) -> None:
        """Notes that the server took a push: what it refuses next is not refused for all."""
        self._has_applied = True
        self._event_count_max = min(self._event_count_max * 2, sys.maxsize)

    def push_refused(self, *, first_seq: int, event_count: int) -> RefusalStep:
        """Returns what to do about a push that was refused for its content.

        Args:
            first_seq: Position of its first event, >= 1.
            event_count: Events that it held, >= 1.
        """
        if event_count > 1:
            self._event_count_max = event_count // 2
            return RefusalStep.NARROW
        if not self._has_applied and self._waited_seq != first_seq:
            self._waited_seq = first_seq
            return RefusalStep.WAIT
        self._has_applied = False
        self._event_count_max = sys.maxsize
        return RefusalStep.SET_ASIDE
