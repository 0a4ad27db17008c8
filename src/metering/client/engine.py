"""What a meter runs on: its buffer, its sender's thread, and their life across fork and exit."""

import contextlib
import logging
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Callable

from metering.client.address import find_agent_address
from metering.client.buffer import EventBuffer
from metering.client.event import RecordedEvent
from metering.client.lifecycle import CUT_SETTLE_SECONDS, CUT_TIMEOUT_SECONDS, track_engine
from metering.client.options import MeterOptions
from metering.client.sender import Sender
from metering.client.stats import MeterStats
from metering.client.transport import GrpcTransport, Transport

logger = logging.getLogger("metering.client")

QUIET_SECONDS = 1.0
"""How long the sender keeps looking for events before it sleeps until it is woken.

While it looks, `record` need not wake it: a wake-up costs the caller a system call.
"""

STOP_TIMEOUT_SECONDS = 1.0
"""How long the end of a meter waits for its thread, once its request was cancelled."""

ERROR_PAUSE_SECONDS = 1.0
"""Pause after an unforeseen exception in the sender."""


class MeterEngine:
    """Buffers events and sends them from a thread that starts with the first event.

    The thread and the channel are made late, so that a meter may be made before a fork; a child
    starts with an empty buffer, since the parent still sends what it recorded.
    """

    def __init__(
        self,
        address: str | None,
        *,
        options: MeterOptions,
        connect: Callable[[str], Transport] = GrpcTransport,
    ) -> None:
        self.address = find_agent_address(
            address, environment=os.environ, path_exists=os.path.exists
        )
        self.options = options
        self._connect = connect
        self.is_closed = False
        self._has_logged_late_event = False
        self._begin()
        track_engine(self)

    def _begin(self) -> None:
        self.buffer = EventBuffer(capacity=self.options.buffer_event_count_max)
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._sender: Sender | None = None
        # A SimpleQueue wakes without a lock of Python's own: also from a signal handler.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._step_lock = threading.Lock()
        self._is_paused = False
        self._is_asleep = False
        self._is_stopping = False

    @property
    def exit_timeout_seconds(self) -> float:
        """How long the end of the process may wait for this meter. >= 0."""
        return self.options.exit_timeout_seconds

    def add(self, event: RecordedEvent) -> None:
        """Buffers an event and sees that somebody sends it."""
        if self.is_closed:
            self._drop_late_event()
            return
        self.buffer.add(event)
        if self._is_asleep:
            self._wake.put(None)
        elif self._thread is None:
            self._start()

    def _drop_late_event(self) -> None:
        self.buffer.count_dropped(1)
        if not self._has_logged_late_event:
            self._has_logged_late_event = True
            logger.error(
                "usage was recorded after the meter was closed: it is dropped, and counted in stats"
            )

    def when_settled(self, call: Callable[[], None]) -> None:
        """Calls back, from any thread, once everything recorded by now is settled."""
        self.buffer.when_settled(call)
        self._wake.put(None)

    def flush(self, *, timeout_seconds: float) -> bool:
        """Waits until everything recorded by now is settled; False on time-out."""
        settled = threading.Event()
        self.when_settled(settled.set)
        if settled.wait(timeout_seconds):
            return True
        self.buffer.forget_waiter(settled.set)
        return False

    def stop(self) -> None:
        """Ends the thread and the channel; what is still buffered is dropped, loudly."""
        if self.is_closed:
            return
        self.is_closed = True
        self._is_stopping = True
        self._wake.put(None)
        if self._sender is not None:
            self._sender.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(STOP_TIMEOUT_SECONDS)
        abandoned = self.buffer.abandon()
        if abandoned:
            logger.error(
                "the meter ends without an answer of the agent at %s: %d usage events are lost",
                self.address,
                abandoned,
            )

    def stats(self) -> MeterStats:
        """Returns all counts as of one moment."""
        return self.buffer.stats()

    def pause_for_fork(self, *, timeout_seconds: float) -> None:
        """Waits until the thread is between two requests, and holds it there.

        A request that takes longer is cut: a child that is forked while a thread is inside gRPC
        may crash as soon as it sends something itself.
        """
        # Of two threads that fork at once, the one that waits in vain keeps the other's pause.
        if self._step_lock.acquire(timeout=timeout_seconds) or self._cut_request():
            self._is_paused = True

    def _cut_request(self) -> bool:
        """Ends a request that hangs; its events are sent again, under their own ids."""
        if self._is_paused or self._sender is None:
            return False
        self._sender.disconnect()
        if not self._step_lock.acquire(timeout=CUT_TIMEOUT_SECONDS):
            return False
        # The library takes a connection down in threads of its own, which hold its locks meanwhile.
        time.sleep(CUT_SETTLE_SECONDS)
        return True

    def resume_after_fork(self) -> None:
        """Lets the thread of the parent go on."""
        if self._is_paused:
            self._is_paused = False
            self._step_lock.release()

    def reset_after_fork(self) -> None:
        """Makes a forked child start afresh: the parent's events and connection stay with it."""
        self._begin()

    def _start(self) -> None:
        # Nobody waits here: a signal handler may have interrupted the very frame that starts. Who
        # comes second leaves its event to the thread that is about to run.
        if not self._start_lock.acquire(blocking=False):
            return
        try:
            if self._thread is not None or self._is_stopping:
                return
            self._sender = Sender(
                buffer=self.buffer,
                connect=lambda: self._connect(self.address),
                options=self.options,
                random=random.random,
                monotonic=time.monotonic,
            )
            thread = threading.Thread(
                target=self._run, args=(self._sender,), name="metering-sender", daemon=True
            )
            _flush_at_exit_of_multiprocessing_child()
            try:
                thread.start()
            except RuntimeError:
                # No thread can be had, e.g. while the interpreter ends: the event waits, and the
                # next one tries again. The caller's work must not fail for it.
                logger.exception("the sender of usage events could not be started")
                return
            self._thread = thread
        finally:
            self._start_lock.release()

    def _run(self, sender: Sender) -> None:
        quiet_since: float | None = None
        while not self._is_stopping:
            try:
                with self._step_lock:
                    pause = sender.step()
            except Exception:
                logger.exception("the sender of usage events failed, going on")
                pause = ERROR_PAUSE_SECONDS
            if self.buffer.buffered:
                quiet_since = None
            elif quiet_since is None:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since >= QUIET_SECONDS:
                self._sleep_until_woken()
                quiet_since = None
                continue
            if pause > 0:
                self._wait(pause)

    def _sleep_until_woken(self) -> None:
        self._is_asleep = True
        # Looked at after the flag is up: an event added before was seen, one after will wake.
        if not self.buffer.buffered and not self._is_stopping:
            self._wait(None)
        self._is_asleep = False

    def _wait(self, timeout_seconds: float | None) -> None:
        with contextlib.suppress(queue.Empty):
            self._wake.get(timeout=timeout_seconds)
            while True:
                self._wake.get_nowait()


def _flush_at_exit_of_multiprocessing_child() -> None:
    """Registers the exit flush where `atexit` is not run: in children of multiprocessing."""
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        from metering.client.lifecycle import flush_at_exit

        util.Finalize(None, flush_at_exit, exitpriority=1)
