"""Waiting until the server has applied what was recorded: `ACK_LEVEL_SERVER`.

Positions may be numbered anew while a caller waits, and may be sent again after a server was
restored. What does not change is the order: of all events made durable, `applied_total` are
applied. A caller waits until that count reaches the one that held with its own events.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from metering.errors import (
    DeadlineError,
    InvalidStateError,
    MeteringError,
    QuotaExceededError,
    UnavailableError,
)

WAITER_COUNT_MAX: Final = 96
"""Calls that may wait at once: the other threads of the server stay free for plain recording."""
WAITER_COUNT_MAX_EACH: Final = 48
"""Of these, calls of one service: another one can always wait too."""
WAITERS_FULL_RETRY_SECONDS: Final = 1.0
SET_ASIDE_COUNT_MAX: Final = 1_000
"""Events set aside that are remembered; at most one comes in 30 s, and a wait is shorter."""
_LOOK_SECONDS: Final = 1.0


class AppliedWatch:
    """Lets callers wait for the server. Any thread may use it."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: Counter[str] = Counter()
        self._applied_total = 0
        self._failure: MeteringError | None = None
        self._failure_count = 0
        self._is_closed = False
        self._set_aside: deque[tuple[int, str]] = deque(maxlen=SET_ASIDE_COUNT_MAX)

    @property
    def total(self) -> int:
        """How many of the events made durable are applied."""
        return self._applied_total

    @contextmanager
    def place(self, caller: str) -> Iterator[None]:
        """Takes one of the places to wait, for as long as the block runs.

        Args:
            caller: Name of the service; may be empty.

        Raises:
            QuotaExceededError: TOO_MANY_WAITING: nothing was recorded.
        """
        with self._condition:
            if (
                self._waiting.total() >= WAITER_COUNT_MAX
                or self._waiting[caller] >= WAITER_COUNT_MAX_EACH
            ):
                raise _too_many_waiting()
            self._waiting[caller] += 1
        try:
            yield
        finally:
            with self._condition:
                self._waiting[caller] -= 1
                if self._waiting[caller] <= 0:
                    del self._waiting[caller]

    def wait(
        self,
        spans: Sequence[range],
        *,
        timeout_seconds: float,
        is_wanted: Callable[[], bool],
    ) -> None:
        """Returns once the server has applied a caller's events.

        Args:
            spans: Which of all events made durable they are, counted from 1; one a ticket.
            timeout_seconds: How long to wait, >= 0.
            is_wanted: Tells whether the caller is still there; asked every second.

        Raises:
            DeadlineError: NOT_APPLIED_IN_TIME: the events are durable and will be applied.
            MeteringError: Why waiting makes no sense any more; the events are durable.
            InvalidStateError: EVENT_SET_ASIDE: one of them will never be applied.
        """
        end = time.monotonic() + timeout_seconds
        durable_total = max((span.stop - 1 for span in spans), default=0)
        with self._condition:
            failure_count = self._failure_count
            while self._applied_total < durable_total:
                if self._failure is not None and (
                    self._is_closed or self._failure_count != failure_count
                ):
                    raise self._failure
                left = end - time.monotonic()
                if left <= 0 or not is_wanted():
                    raise _not_applied_in_time()
                self._condition.wait(min(left, _LOOK_SECONDS))
            for total, message in self._set_aside:
                if any(total in span for span in spans):
                    raise _set_aside(message)

    def set_aside(self, total: int, *, message: str) -> None:
        """Says that the server refuses an event for good: it counts as done with, not as applied.

        Args:
            total: Which of all events made durable it is, counted from 1.
            message: Why, for people.
        """
        with self._condition:
            self._set_aside.append((total, message))

    def advance(self, applied_total: int) -> None:
        """Says how many of the events made durable are applied; it may fall after a restore."""
        if applied_total == self._applied_total:
            return
        with self._condition:
            self._applied_total = applied_total
            self._condition.notify_all()

    def fail(self, error: MeteringError) -> None:
        """Lets everybody who waits now go with an error."""
        with self._condition:
            self._failure = error
            self._failure_count += 1
            self._condition.notify_all()

    def close(self) -> None:
        """Lets everybody go who waits now or comes later: the agent stops."""
        with self._condition:
            self._is_closed = True
        self.fail(
            UnavailableError(
                reason="SHUTTING_DOWN",
                message="the agent is stopping; the events are on its disk and will be counted "
                "once after its next start; the same ids may be sent again",
                retry_after_seconds=WAITERS_FULL_RETRY_SECONDS,
            )
        )


def _too_many_waiting() -> QuotaExceededError:
    return QuotaExceededError(
        reason="TOO_MANY_WAITING",
        message=f"{WAITER_COUNT_MAX} calls ({WAITER_COUNT_MAX_EACH} of one service) already wait "
        "for the server, nothing was recorded; send more events in one call, or leave ack_level "
        "unset: OK then means that they are on the agent's disk",
        retry_after_seconds=WAITERS_FULL_RETRY_SECONDS,
    )


def _set_aside(message: str) -> InvalidStateError:
    return InvalidStateError(
        reason="EVENT_SET_ASIDE",
        message=f"the server refuses an event of this request for good ({message}); it lies in the "
        "table refused_block of the agent's database and is not counted: correct it and record it "
        "again under the same id. All other events of the request are applied",
    )


def _not_applied_in_time() -> DeadlineError:
    return DeadlineError(
        reason="NOT_APPLIED_IN_TIME",
        message="the events are on the agent's disk and will be counted once, and the server has "
        "not applied them within the call's deadline; do not send them under other ids (the same "
        "ids may be sent again), see meter-agent status",
    )
