"""Follows every meter of the process, so that a fork and the end of the process reach them."""

import atexit
import os
import time
import weakref
from collections.abc import Iterable
from typing import Protocol


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

    def pause_for_fork(self, *, timeout_seconds: float) -> None:
        """Waits until its thread is between two requests, and holds it there."""
        ...

    def resume_after_fork(self) -> None:
        """Lets the thread of the parent go on."""
        ...

    def reset_after_fork(self) -> None:
        """Starts afresh in a child."""
        ...


FORK_TIMEOUT_SECONDS = 0.25
"""How long a fork may wait for requests to end, all meters together.

A child that is forked while another thread is inside gRPC inherits its locks as they are, and
imports that will never end. A request to an agent on the same host is over long before; where the
agent hangs, the request is cut, and sent again under its ids.
"""

CUT_TIMEOUT_SECONDS = 1.0
"""How long a fork waits for a request that was cut; it ends at once, whatever the agent does."""

CUT_SETTLE_SECONDS = 0.05
"""How long a fork waits behind a request that was cut."""

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


def pause_engines(engines: Iterable[Engine]) -> None:
    """Holds the engines' threads between two requests, within one bound for all."""
    started = time.monotonic()
    for engine in engines:
        passed = time.monotonic() - started
        engine.pause_for_fork(timeout_seconds=max(FORK_TIMEOUT_SECONDS - passed, 0))


def _pause_for_fork() -> None:
    pause_engines(list(_engines))


def _resume_after_fork() -> None:
    for engine in list(_engines):
        engine.resume_after_fork()


def _reset_after_fork() -> None:
    for engine in list(_engines):
        engine.reset_after_fork()


atexit.register(flush_at_exit)
os.register_at_fork(
    before=_pause_for_fork,
    after_in_parent=_resume_after_fork,
    after_in_child=_reset_after_fork,
)
