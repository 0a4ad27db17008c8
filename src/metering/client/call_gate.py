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
        with self._condition:
            while self._is_shut:
                self._condition.wait()
            self._inside += 1

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._condition:
            self._inside -= 1
            if self._is_shut:
                self._condition.notify_all()

    def shut(self, *, timeout_seconds: float) -> None:
        """Lets no call in, and waits until those inside have ended, at most `timeout_seconds`."""
        with self._condition:
            self._is_shut = True
            self._condition.wait_for(lambda: self._inside == 0, timeout_seconds)

    def open(self) -> None:
        """Lets calls in again."""
        with self._condition:
            self._is_shut = False
            self._condition.notify_all()
