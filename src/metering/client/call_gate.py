"""Keeps a fork and the calls of other threads apart, within a bound."""

import threading
from types import TracebackType


class CallGate:
    """Lets calls pass, counts those that are inside, and can be shut while a fork happens.

    A child that is forked while another thread is inside gRPC inherits its locks as they are.
    """

    __slots__ = ("_condition", "_inside", "_is_shut")

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self._is_shut = False

    def __enter__(self) -> None:
        self.enter()

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()

    def enter(self) -> None:
        """Lets a call in, once the gate is open; whoever enters leaves, from any thread."""
        with self._condition:
            while self._is_shut:
                self._condition.wait()
            self._inside += 1

    def leave(self) -> None:
        """Says that a call has ended."""
        with self._condition:
            self._inside -= 1
            if self._is_shut:
                self._condition.notify_all()

    def shut(self, *, timeout_seconds: float) -> bool:
        """Lets no call in, and waits until those inside have ended; False on time-out."""
        with self._condition:
            self._is_shut = True
            return self._condition.wait_for(lambda: self._inside == 0, timeout_seconds)

    def open(self) -> None:
        """Lets calls in again."""
        with self._condition:
            self._is_shut = False
            self._condition.notify_all()
