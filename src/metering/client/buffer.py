"""The bounded buffer between the callers' threads and the sender.

Producers never take a lock to add an event: `deque.append` is atomic, and the bound may be passed
by at most one event a thread. The lock guards what the single consumer moves and what is read
together, so that every event is in exactly one count at every moment.
"""

import threading
from collections import deque
from collections.abc import Callable

from metering.client.event import RecordedEvent
from metering.client.stats import MeterStats


class EventBuffer:
    """First in, first out, bounded; an event stays until it is settled."""

    __slots__ = (
        "_accepted",
        "_drop_lock",
        "_dropped",
        "_in_flight",
        "_is_abandoned",
        "_last_error",
        "_lock",
        "_queue",
        "_rejected",
        "_retries",
        "_taken",
        "_waiters",
        "capacity",
    )

    def __init__(self, *, capacity: int) -> None:
        self.capacity = capacity
        self._queue: deque[RecordedEvent] = deque()
        # Re-entrant, since a signal handler may record or close while its thread counts.
        self._lock = threading.RLock()
        self._drop_lock = threading.RLock()
        self._in_flight = 0
        self._is_abandoned = False
        self._taken = 0
        self._accepted = 0
        self._rejected = 0
        self._dropped = 0
        self._retries = 0
        self._last_error = ""
        self._waiters: list[tuple[int, Callable[[], None]]] = []

    def add(self, event: RecordedEvent) -> None:
        """Buffers the event, or counts it as dropped where the buffer is full."""
        if len(self._queue) + self._in_flight < self.capacity:
            self._queue.append(event)
        else:
            self.count_dropped(1)

    def count_dropped(self, event_count: int) -> None:
        """Counts events that are lost."""
        with self._drop_lock:
            self._dropped += event_count

    @property
    def waiting(self) -> int:
        """Events that the sender has not taken yet. >= 0."""
        return len(self._queue)

    @property
    def buffered(self) -> int:
        """Events that are not settled yet: waiting or in flight. >= 0."""
        return len(self._queue) + self._in_flight

    @property
    def dropped(self) -> int:
        """Events lost so far. >= 0."""
        return self._dropped

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the buffer to be settled."""
        return bool(self._waiters)

    def take(self, event_count_max: int) -> list[RecordedEvent]:
        """Moves the oldest events in flight; they still count as buffered."""
        with self._lock:
            event_count = min(event_count_max, len(self._queue))
            taken = [self._queue.popleft() for _ in range(event_count)]
            self._in_flight += event_count
            self._taken += event_count
        return taken

    def settle(self, *, accepted: int, rejected: int) -> None:
        """Ends events in flight; whoever waited for them is called once none is in flight."""
        with self._lock:
            if self._is_abandoned:
                return
            self._accepted += accepted
            self._rejected += rejected
            self._in_flight -= accepted + rejected
            due = self._due_waiters()
        for call in due:
            call()

    def when_settled(self, call: Callable[[], None]) -> None:
        """Calls back, from any thread, once everything buffered by now is settled."""
        with self._lock:
            target = self._taken + len(self._queue)
            is_settled = self._in_flight == 0 and self._taken >= target
            if not is_settled:
                self._waiters.append((target, call))
        if is_settled:
            call()

    def forget_waiter(self, call: Callable[[], None]) -> None:
        """Takes back a `when_settled`; nothing happens where it has been called."""
        with self._lock:
            self._waiters = [waiter for waiter in self._waiters if waiter[1] != call]

    def abandon(self) -> int:
        """Counts everything still buffered as dropped and returns how many; nothing settles after.

        An answer that comes too late is not counted: such events may be durable all the same.
        """
        with self._lock:
            event_count = len(self._queue) + self._in_flight
            self._queue.clear()
            self._in_flight = 0
            self._is_abandoned = True
            self._waiters = []
        self.count_dropped(event_count)
        return event_count

    def count_retry(self, *, error: str) -> None:
        """Counts a request that has to be sent again, and why."""
        with self._lock:
            self._retries += 1
            self._last_error = error

    def note_error(self, error: str) -> None:
        """Keeps the last reason for which something went wrong."""
        with self._lock:
            self._last_error = error

    def stats(self) -> MeterStats:
        """Returns all counts as of one moment."""
        with self._lock, self._drop_lock:
            buffered = len(self._queue) + self._in_flight
            return MeterStats(
                recorded=self._accepted + self._rejected + self._dropped + buffered,
                accepted=self._accepted,
                rejected=self._rejected,
                dropped=self._dropped,
                buffered=buffered,
                retries=self._retries,
                last_error=self._last_error,
            )

    def _due_waiters(self) -> list[Callable[[], None]]:
        """Removes and returns whom the settled batch frees; the lock is held."""
        if self._in_flight or not self._waiters:
            return []
        due = [call for target, call in self._waiters if target <= self._taken]
        self._waiters = [waiter for waiter in self._waiters if waiter[0] > self._taken]
        return due
