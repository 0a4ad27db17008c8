"""SIGTERM and SIGINT as something that a program's main thread waits for."""

import os
import select
import signal
from types import FrameType
from typing import Final

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_MILLISECONDS_PER_SECOND: Final = 1_000


class StopSignal:
    """Is set by the first SIGTERM or SIGINT, and stays set.

    A `threading.Event` that the handler sets would not do: a handler runs in the main thread
    between any two of its steps, also while that thread holds the event's own lock in `wait`, and
    would then wait for itself without end. Writing to a pipe takes no lock.

    To be made in the main thread, once in a process.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._write_fd, False)
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
        poll.poll(None if timeout_seconds is None else timeout_seconds * _MILLISECONDS_PER_SECOND)
        return self._is_set

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Notes the first signal; the byte stays in the pipe, so that every wait ends at once."""
        if not self._is_set:
            self._is_set = True
            os.write(self._write_fd, b"s")
