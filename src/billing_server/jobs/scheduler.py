"""The scheduler: a thread that carries out due work, every second or as soon as it is woken."""

import threading
from collections.abc import Callable

import structlog

from billing_server.services.context import ServiceContext
from billing_server.services.due_retries import DueRetries
from billing_server.services.move_clock import refresh_clock
from billing_server.services.run_due_work import run_due_work
from billing_server.services.tidy_limits import LimitTidying
from billing_server.services.unpriced_alerts import AlertWatch
from billing_server.services.watch_quarantine import QuarantineWatch

TICK_SECONDS = 1.0
"""How often due work is looked for: how late, at most, an idle server issues an invoice."""
STOP_SECONDS_MAX = 30.0
"""How long a stop waits for the piece of work in hand."""

log = structlog.get_logger(__name__)


class Scheduler:
    """Runs due work in the background. Safe on every replica: the work is claimed by row locks.

    What fails is logged with its subscription and tried again after 1, 2, 4 … 300 seconds, so that
    it does not fold its usage anew every second.
    """

    def __init__(self, context: ServiceContext, *, tick_seconds: float = TICK_SECONDS) -> None:
        self._context = context
        self._tick_seconds = tick_seconds
        self._wake = context.work_added
        self._is_stopping = threading.Event()
        self._retries = DueRetries(context.wall_clock.monotonic)
        self._watch = QuarantineWatch(context.store)
        self._limits = LimitTidying(context)
        self._alerts = AlertWatch(context)
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Look for due work at once."""
        self._wake.set()

    def stop(self) -> None:
        """Stop after the run in hand; what is left is done at the next start."""
        self._is_stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS_MAX)

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            # Cleared first: what is added during the look is seen by the next one.
            self._wake.clear()
            self._attempt("clock", lambda: refresh_clock(self._context))
            self._attempt(
                "quarantine", lambda: self._watch.look(should_stop=self._is_stopping.is_set)
            )
            self._attempt("due_work", self._run_due_work)
            self._attempt("limits", self._limits.look)
            self._attempt("alerts", lambda: self._alerts.look(should_stop=self._is_stopping.is_set))
            if not self._is_stopping.is_set():
                self._wake.wait(self._tick_seconds)

    def _run_due_work(self) -> None:
        run_due_work(self._context, should_stop=self._is_stopping.is_set, retries=self._retries)

    def _attempt(self, task: str, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:
            # A database that is away for a moment must not end the thread for good.
            log.exception("scheduler_run_failed", task=task)
