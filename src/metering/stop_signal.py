"""SIGTERM and SIGINT as something that a program's main thread waits for."""

import os
import select
import signal
import time
from types import FrameType
from typing import Final

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_MILLISECONDS_PER_SECOND: Final = 1_000
_READ_BYTES: Final = 1_024


class StopSignal:
    """Is set by the first SIGTERM or SIGINT, and stays set.

    The interpreter's own handler of a signal writes its number into a pipe, at once and in any
    thread; `wait` looks at that pipe. Handlers in Python would not do. They run in the main thread
    between two of its steps: one that comes just before the thread goes to sleep, or that the
    system hands to another thread, runs only once something else wakes the main thread. And one
    that sets a `threading.Event` may run while that thread holds the event's lock.

    To be made in the main thread, once in a process.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._read_fd, write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        os.set_blocking(write_fd, False)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            signal.signal(number, self._note)

    def is_set(self) -> bool:
        """Returns whether a stop was asked for."""
        return self._is_set

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Waits until a stop is asked for; returns whether it was.

        Args:
            timeout_seconds: How long to wait, >= 0; None: without end.
        """
        poll = select.poll()
        poll.register(self._read_fd, select.POLLIN)
        end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while not self._is_set:
            left = None if end is None else max(end - time.monotonic(), 0.0)
            if not poll.poll(None if left is None else left * _MILLISECONDS_PER_SECOND):
                break
            self._read_numbers()
        return self._is_set

    def _read_numbers(self) -> None:
        """Takes what was written; other signals than these are no reason to stop."""
        try:
            numbers = os.read(self._read_fd, _READ_BYTES)
        except BlockingIOError:
            return
        if any(number in STOP_SIGNALS for number in numbers):
            self._is_set = True

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Lets `is_set` know in a program that does not wait."""
        self._is_set = True
