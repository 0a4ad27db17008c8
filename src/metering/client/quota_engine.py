"""What reservations run on: the channel, a thread that renews and settles late, fork and exit."""

import heapq
import itertools
import logging
import random
import threading
import time
import weakref
from collections.abc import Callable
from typing import Protocol, TypeAlias

from metering.api.v1 import agent_pb2
from metering.client.backoff import FullJitterBackoff
from metering.client.call_gate import CallGate
from metering.client.lifecycle import CUT_SETTLE_SECONDS, CUT_TIMEOUT_SECONDS, track_engine
from metering.client.options import MeterOptions
from metering.client.quota_transport import (
    AgentAwayError,
    GrpcQuotaTransport,
    QuotaCall,
    QuotaRequest,
    QuotaResponse,
    QuotaTransport,
)
from metering.errors import InvalidStateError, MeteringError

logger = logging.getLogger("metering.client")

STOP_TIMEOUT_SECONDS = 1.0
"""How long the end of a meter waits for its thread, once its request was cancelled."""
AWAY_RETRY_SECONDS = 0.05
"""Pause before the one retry of a call that met no agent: one that restarts is back by then."""

EndRequest: TypeAlias = agent_pb2.SettleReservationRequest | agent_pb2.ReleaseReservationRequest
"""What ends a reservation."""


class Renewable(Protocol):
    """A reservation that is held until it ends."""

    @property
    def renewal_seconds(self) -> float:
        """Seconds between two renewals. > 0."""
        ...

    def renewal(self) -> agent_pb2.ExtendReservationRequest | None:
        """Returns the request that renews it; None where it has ended."""
        ...


class QuotaEngine:
    """Calls the agent for quota, from any thread.

    Renewals and what an absent agent left undone are sent by one thread, which starts with the
    first need. A forked child starts afresh: reservations of its parent stay with the parent.
    """

    def __init__(
        self,
        address: str,
        *,
        options: MeterOptions,
        connect: Callable[[str], QuotaTransport] = GrpcQuotaTransport,
    ) -> None:
        self.address = address
        self.options = options
        self._connect = connect
        self.is_closed = False
        self._begin()
        track_engine(self)

    def _begin(self) -> None:
        self._gate = CallGate()
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._transport: QuotaTransport | None = None
        self._thread: threading.Thread | None = None
        self._sequence = itertools.count()
        self._renewals: list[tuple[float, int, weakref.ref[Renewable]]] = []
        self._ends: list[EndRequest] = []
        self._sent_end: EndRequest | None = None
        self._end_failures = 0
        self._is_put_off = False
        self._end_due = 0.0
        self._lost = 0

    @property
    def exit_timeout_seconds(self) -> float:
        """How long the end of the process may wait. >= 0."""
        return self.options.exit_timeout_seconds

    @property
    def waiting(self) -> int:
        """Ends of reservations that wait for the agent. >= 0."""
        with self._changed:
            return len(self._ends) + (self._sent_end is not None)

    @property
    def lost(self) -> int:
        """Ends of reservations that no agent will hear of. >= 0."""
        return self._lost

    def call(self, request: QuotaRequest, *, timeout_seconds: float) -> QuotaResponse:
        """Calls the agent; one that was not reached is tried once more, under the same ids.

        Raises:
            AgentAwayError: No agent answered in time.
            MeteringError: The agent refused the request, or the end of a reservation of this id
                waits for the agent.
        """
        self._refuse_ended(request)
        end = time.monotonic() + timeout_seconds
        try:
            with self._gate:
                return self._open().call(request, timeout_seconds=timeout_seconds)
        except AgentAwayError:
            left = end - time.monotonic() - AWAY_RETRY_SECONDS
            if left <= 0 or self.is_closed:
                raise
        time.sleep(AWAY_RETRY_SECONDS)
        with self._gate:
            return self._open().call(request, timeout_seconds=left)

    def begin(self, request: QuotaRequest, *, timeout_seconds: float) -> QuotaCall:
        """Begins a call; whoever begins it takes its answer.

        Raises:
            AgentAwayError: The meter is closed.
            InvalidStateError: The end of a reservation of this id waits for the agent.
        """
        self._refuse_ended(request)
        gate = self._gate
        gate.enter()
        try:
            call = self._open().begin(request, timeout_seconds=timeout_seconds)
        except BaseException:
            gate.leave()
            raise
        # The library works on it in threads of its own until it is over.
        call.when_done(gate.leave)
        return call

    def renew(self, reservation: Renewable) -> None:
        """Renews a reservation until it ends, or until nobody holds the object any more."""
        due = time.monotonic() + reservation.renewal_seconds
        with self._changed:
            entry = (due, next(self._sequence), weakref.ref(reservation))
            heapq.heappush(self._renewals, entry)
            self._ensure_thread()
            self._changed.notify()

    def end_later(self, request: EndRequest) -> None:
        """Sends what ends a reservation as soon as an agent takes it; never raises or waits."""
        with self._changed:
            if self.is_closed or len(self._ends) >= self.options.settlement_count_max:
                self._note_lost([request])
                return
            self._ends.append(request)
            self._ensure_thread()
            self._changed.notify()

    def flush(self, *, timeout_seconds: float) -> bool:
        """Waits until every reservation that has ended is settled; False on time-out."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._ends and self._sent_end is None, timeout_seconds
            )

    def stop(self) -> None:
        """Ends the thread and the channel; what is still unsettled is lost, loudly."""
        with self._changed:
            if self.is_closed:
                return
            self.is_closed = True
            ends, self._ends = self._ends, []
            self._note_lost(ends)
            self._changed.notify_all()
        transport, thread = self._transport, self._thread
        if transport is not None:
            transport.close()
        if thread is not None and thread is not threading.current_thread():
            thread.join(STOP_TIMEOUT_SECONDS)

    def pause_for_fork(self, *, timeout_seconds: float) -> None:
        """Waits until no call is inside gRPC, and lets none in; calls that take longer are cut.

        Who waits for a call that was cut tries again behind the fork, under the same ids.
        """
        if self._gate.shut(timeout_seconds=timeout_seconds):
            return
        with self._lock:
            transport, self._transport = self._transport, None
        if transport is None:
            return
        transport.close()
        if self._gate.shut(timeout_seconds=CUT_TIMEOUT_SECONDS):
            # The library takes a connection down in threads of its own, which hold its locks.
            time.sleep(CUT_SETTLE_SECONDS)

    def resume_after_fork(self) -> None:
        """Lets the parent go on."""
        self._gate.open()

    def reset_after_fork(self) -> None:
        """Makes a forked child start afresh."""
        self._begin()

    def _refuse_ended(self, request: QuotaRequest) -> None:
        """Refuses an id again that has ended, as the agent will once it has heard of that end.

        Else the end that waits could meet the new call's hold, and end that.
        """
        if not isinstance(request, agent_pb2.ReserveQuotaRequest):
            return
        with self._changed:
            ends = self._ends if self._sent_end is None else [*self._ends, self._sent_end]
            if all(end.reservation_id != request.reservation_id for end in ends):
                return
        raise InvalidStateError(
            reason="RESERVATION_ENDED",
            message=f"reservation {request.reservation_id!r} has ended, and the agent is still to "
            "be told; make a new id for each call",
        )

    def _open(self) -> QuotaTransport:
        transport = self._transport
        if transport is not None:
            return transport
        with self._lock:
            if self.is_closed:
                raise AgentAwayError(reason="METER_CLOSED", message="the meter is closed")
            if self._transport is None:
                self._transport = self._connect(self.address)
            return self._transport

    def _ensure_thread(self) -> None:
        if self._thread is None and not self.is_closed:
            thread = threading.Thread(target=self._run, name="metering-quota", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # While the interpreter ends none can be had; the exit's flush says what is lost.
                logger.exception("the thread that renews reservations could not be started")
                return
            self._thread = thread

    def _run(self) -> None:
        while not self.is_closed:
            try:
                self._turn()
            except Exception:
                logger.exception("renewing and settling reservations failed, going on")
                time.sleep(AWAY_RETRY_SECONDS)

    def _turn(self) -> None:
        """Does what is due, or waits for it."""
        with self._changed:
            now = time.monotonic()
            end = self._take_end(now)
            renewal = None if end is not None else self._take_renewal(now)
            if end is None and renewal is None and not self.is_closed:
                self._changed.wait(self._wait_seconds(now))
                return
        if end is not None:
            self._send_end(end)
        elif renewal is not None:
            self._send_renewal(renewal)

    def _take_end(self, now: float) -> EndRequest | None:
        if not self._ends or now < self._end_due:
            return None
        self._sent_end = self._ends.pop(0)
        return self._sent_end

    def _take_renewal(self, now: float) -> Renewable | None:
        while self._renewals and self._renewals[0][0] <= now:
            _, _, reference = heapq.heappop(self._renewals)
            reservation = reference()
            if reservation is not None:
                return reservation
        return None

    def _wait_seconds(self, now: float) -> float | None:
        dues = [self._renewals[0][0]] if self._renewals else []
        if self._ends:
            dues.append(self._end_due)
        return max(min(dues) - now, 0.0) if dues else None

    def _send_end(self, request: EndRequest) -> None:
        try:
            with self._gate:
                self._open().call(request, timeout_seconds=self.options.request_timeout_seconds)
        except AgentAwayError:
            self._end_failed(request, index=0)
            return
        except MeteringError as error:
            if error.kind.is_retryable:
                self._note_put_off(request, error)
                # Behind the others: what adds no usage finds room in a buffer that is full.
                self._end_failed(request, index=len(self._ends))
                return
            # Other numbers were settled before, or the request can never be right: not lost here.
            logger.error(  # noqa: TRY400 - no surprise: the text says it all
                "the end of reservation %s was refused: %s: %s",
                request.reservation_id,
                error.reason,
                error.message,
            )
        except Exception:
            self._end_failed(request, index=len(self._ends))
            raise
        with self._changed:
            self._end_failures = 0
            self._is_put_off = False
            self._sent_end = None
            self._changed.notify_all()

    def _note_put_off(self, request: EndRequest, error: MeteringError) -> None:
        if not self._is_put_off:
            self._is_put_off = True
            logger.warning(
                "the agent cannot take the end of reservation %s now, and it waits: %s: %s",
                request.reservation_id,
                error.reason,
                error.message,
            )

    def _end_failed(self, request: EndRequest, *, index: int) -> None:
        backoff = FullJitterBackoff(
            initial_seconds=self.options.backoff_initial_seconds,
            max_seconds=self.options.backoff_max_seconds,
            random=random.random,
        )
        with self._changed:
            self._sent_end = None
            if self.is_closed:
                self._note_lost([request])
                return
            self._end_failures += 1
            pause = backoff.pause_seconds(failure_count=self._end_failures)
            self._end_due = time.monotonic() + pause
            self._ends.insert(index, request)

    def _send_renewal(self, reservation: Renewable) -> None:
        request = reservation.renewal()
        if request is None:
            return
        try:
            with self._gate:
                self._open().call(request, timeout_seconds=self.options.quota_timeout_seconds)
        except AgentAwayError:
            pass  # The hold stands for two more turns.
        except MeteringError as error:
            if reservation.renewal() is not None:  # Else it was ended meanwhile.
                logger.warning(
                    "reservation %s cannot be renewed and will end by itself: %s: %s",
                    request.reservation_id,
                    error.reason,
                    error.message,
                )
            return
        except Exception:
            self.renew(reservation)
            raise
        self.renew(reservation)

    def _note_lost(self, requests: list[EndRequest]) -> None:
        self._lost += len(requests)
        for request in requests:
            logger.error(
                "what reservation %s of customer %s used could not be settled and is lost here; "
                "the agent lists it as unsettled",
                request.reservation_id,
                request.customer_id,
            )
