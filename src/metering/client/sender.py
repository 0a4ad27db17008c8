"""Moves events from the buffer to the agent: one step at a time, every wait handed back."""

import logging
import time
from collections.abc import Callable

from metering.client.backoff import FullJitterBackoff
from metering.client.buffer import EventBuffer
from metering.client.delivery import Delivery, FailureKind, GivenUp, Progress, pack_frames
from metering.client.event import EventFrame, Refusal, frame_from_event
from metering.client.options import MeterOptions
from metering.client.transport import Transport, TransportError

logger = logging.getLogger("metering.client")

FRAMES_PER_TURN = 32
"""Events serialized before the callers' threads get their turn: about 0.2 ms."""

REFUSALS_LOGGED_MAX = 20
"""Refused events logged one by one in an interval; more are summed up."""

LOG_INTERVAL_SECONDS = 10.0
"""Shortest time between two log lines of the same trouble."""


class Sender:
    """Takes events from the buffer, sends them, and settles them by what the agent answers.

    Owns no thread: `step` does one request and says how long to wait before the next step.
    """

    def __init__(
        self,
        *,
        buffer: EventBuffer,
        connect: Callable[[], Transport],
        options: MeterOptions,
        random: Callable[[], float],
        monotonic: Callable[[], float],
        give_turn: Callable[[], None] = lambda: time.sleep(0),
    ) -> None:
        self._buffer = buffer
        self._connect = connect
        self._options = options
        self._monotonic = monotonic
        self._give_turn = give_turn
        self._backoff = FullJitterBackoff(
            initial_seconds=options.backoff_initial_seconds,
            max_seconds=options.backoff_max_seconds,
            random=random,
        )
        self._delivery = Delivery(isolation_attempt_count_max=options.isolation_attempt_count_max)
        self._transport: Transport | None = None
        self._failure_log = _Interval(monotonic)
        self._drop_log = _Interval(monotonic)
        self._logged_dropped = 0
        self._refusal_log = _Interval(monotonic)
        self._logged_refusals = 0
        self._unlogged_refusals = 0

    def step(self) -> float:
        """Sends one request where there is something to send; returns the pause in seconds.

        The pause may be cut short at any time. While events wait for company it is the linger.
        """
        self._log_dropped()
        self._log_refusals()
        if self._delivery.is_stuck:
            self._start_batch()
        if self._delivery.is_idle:
            return self._options.linger_seconds
        pause = self._send()
        if pause > 0:
            return pause
        return 0.0 if self._has_urgent_work() else self._options.linger_seconds

    def close(self) -> None:
        """Ends the connection, from any thread; a request in flight fails."""
        transport = self._transport
        if transport is not None:
            transport.close()

    def disconnect(self) -> None:
        """Ends the connection, from any thread; the next request makes another."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _has_urgent_work(self) -> bool:
        return (
            not self._delivery.is_idle
            or self._buffer.is_awaited
            or self._buffer.waiting >= self._options.batch_event_count_max
        )

    def _start_batch(self) -> None:
        frames: list[EventFrame] = []
        for number, event in enumerate(self._buffer.take(self._options.batch_event_count_max)):
            if number % FRAMES_PER_TURN == FRAMES_PER_TURN - 1:
                self._give_turn()
            frame = frame_from_event(event)
            if isinstance(frame, Refusal):
                refused = EventFrame(event.event_id, event.customer, b"")
                self._settle(Progress(accepted=0, given_up=(GivenUp(refused, frame),)))
            else:
                frames.append(frame)
        self._delivery.start(
            pack_frames(
                frames,
                event_count_max=self._options.batch_event_count_max,
                bytes_max=self._options.batch_bytes_max,
            )
        )

    def _send(self) -> float:
        transport = self._transport
        if transport is None:
            transport = self._transport = self._connect()
        request = b"".join(frame.payload for frame in self._delivery.current)
        try:
            rejections = transport.record_usage(
                request, timeout_seconds=self._options.request_timeout_seconds
            )
        except TransportError as error:
            return self._failed(error)
        if self._delivery.failure_count and self._failure_log.has_spoken:
            logger.warning("the agent answers again after failed requests")
            self._failure_log.reset()
        self._settle(self._delivery.answered(rejections))
        return 0.0

    def _failed(self, error: TransportError) -> float:
        self._buffer.count_retry(error=str(error))
        self._settle(self._delivery.failed(error.failure))
        if error.failure.kind is FailureKind.REFUSED:
            return 0.0
        if self._failure_log.is_due():
            logger.warning(
                "the agent did not take a request, trying again: %s (%d events are buffered)",
                error,
                self._buffer.buffered,
            )
        return self._backoff.pause_seconds(failure_count=self._delivery.failure_count)

    def _settle(self, progress: Progress) -> None:
        for given_up in progress.given_up:
            text = f"{given_up.refusal.reason}: {given_up.refusal.message}"
            self._buffer.note_error(text)
            self._log_refusal(given_up.frame, text)
        rejected = len(progress.given_up)
        if progress.accepted or rejected:
            self._buffer.settle(accepted=progress.accepted, rejected=rejected)

    def _log_refusal(self, frame: EventFrame, text: str) -> None:
        if self._logged_refusals >= REFUSALS_LOGGED_MAX:
            self._unlogged_refusals += 1
            return
        if self._logged_refusals == 0:
            self._refusal_log.is_due()  # The first of many begins the interval.
        self._logged_refusals += 1
        logger.error(
            "usage event %s of customer %s was refused and will not be counted: %s",
            frame.event_id,
            frame.customer,
            text,
        )

    def _log_refusals(self) -> None:
        """Begins a new interval of the log of refusals, and sums up what the last one held back."""
        if not self._logged_refusals or not self._refusal_log.is_due():
            return
        if self._unlogged_refusals:
            logger.error(
                "%d more usage events were refused and will not be counted; see stats()",
                self._unlogged_refusals,
            )
        self._logged_refusals = self._unlogged_refusals = 0

    def _log_dropped(self) -> None:
        dropped = self._buffer.dropped
        if dropped > self._logged_dropped and self._drop_log.is_due():
            logger.error(
                "the buffer is full (%d events): %d usage events were dropped, %d in all; "
                "see whether the agent runs, or raise buffer_event_count_max",
                self._buffer.capacity,
                dropped - self._logged_dropped,
                dropped,
            )
            self._logged_dropped = dropped


class _Interval:
    """Lets the first of a kind through at once, and then one in each interval."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._last: float | None = None

    @property
    def has_spoken(self) -> bool:
        return self._last is not None

    def is_due(self) -> bool:
        now = self._monotonic()
        if self._last is not None and now - self._last < LOG_INTERVAL_SECONDS:
            return False
        self._last = now
        return True

    def reset(self) -> None:
        self._last = None
