"""The queue of write transactions where a database has one writer: urgent ones go first."""

import threading
from typing import Final

from billing_server.domain.ports.unit_of_work import Urgency


class WriteGate:
    """A lock that one thread holds, as often as it likes; who is urgent is let in first."""

    def __init__(self) -> None:
        self._changed: Final = threading.Condition()
        self._owner: int | None = None
        self._depth = 0
        self._urgent_count = 0

    def acquire(self, *, urgency: Urgency, timeout: float) -> bool:
        """Takes the lock; False where it was not had in time.

        Args:
            urgency: who is urgent overtakes those that are not.
            timeout: seconds to wait.
        """
        me = threading.get_ident()
        is_urgent = urgency is Urgency.URGENT
        with self._changed:
            if self._owner == me:
                self._depth += 1
                return True
            self._urgent_count += is_urgent
            is_mine = self._changed.wait_for(
                lambda: self._owner is None and (is_urgent or not self._urgent_count), timeout
            )
            self._urgent_count -= is_urgent
            if is_mine:
                self._owner, self._depth = me, 1
            else:
                self._changed.notify_all()
            return is_mine

    def release(self) -> None:
        """Gives the lock back, once for each time it was taken."""
        with self._changed:
            self._depth -= 1
            if self._depth == 0:
                self._owner = None
                self._changed.notify_all()
