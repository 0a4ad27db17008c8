"""Follows every meter of the process, so that a fork and the end of the process reach them."""

import atexit
import logging
import os
import time
import weakref
from collections.abc import Iterable
from typing import Protocol

logger = logging.getLogger("metering.client")


class Engine(Protocol):
    """What the life of the process asks of a meter's engine."""

    @property
    def exit_timeout_seconds(self) -> float:
        """How long the end of the process may wait for it. >= 0."""
        ...

    def flush(self, *, timeout_seconds: float) -> bool:
        """Waits until everything recorded by now is settled; False on time-out."""
        ...

    def stop(self) -> None:
        """Ends it."""
        ...

    def reset_after_fork(self) -> None:
        """Starts afresh in a child."""
        ...


_engines: "weakref.WeakSet[Engine]" = weakref.WeakSet()


def track_engine(engine: Engine) -> None:
    """Lets a fork and the end of the process reach the engine, for as long as it is in use."""
    _engines.add(engine)


def flush_engines(engines: Iterable[Engine]) -> None:
    """Flushes and stops engines within the longest of their bounds, all together."""
    started = time.monotonic()
    for engine in engines:
        passed = time.monotonic() - started
        engine.flush(timeout_seconds=max(engine.exit_timeout_seconds - passed, 0))
        engine.stop()


def flush_at_exit() -> None:
    """Flushes and stops every meter of this process."""
    flush_engines(list(_engines))


def _reset_after_fork() -> None:
    for engine in list(_engines):
        engine.reset_after_fork()


atexit.register(flush_at_exit)
os.register_at_fork(after_in_child=_reset_after_fork)
