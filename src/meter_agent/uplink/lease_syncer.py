"""Syncs leases with the server: one hanging call at a time (protocol section 1).

The call carries absolute counters and wants, and is answered at once where the server has news. It
is cancelled and sent again, under the same number, where the agent has news: a recall answered, a
lease half used up.
"""

import secrets
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeAlias

import grpc
import structlog

from meter_agent.core.backoff import BackoffPolicy, backoff_seconds
from meter_agent.core.positions import Positions
from meter_agent.core.quota.lease import Lease
from meter_agent.core.quota.sync import (
    SyncMark,
    SyncOutcome,
    is_latest,
    sync_answered,
    sync_attempted,
)
from meter_agent.quota import news
from meter_agent.quota.mapping import counters_to_proto, want_to_proto
from meter_agent.quota.news import Adoption, Heard
from meter_agent.store.schema import DISK_ID_BYTES
from meter_agent.store.writer import Writer
from meter_agent.uplink.client import UplinkError
from meter_agent.uplink.connector import Connector
from meter_agent.uplink.lease_state import (
    CUSTOMERS_NAMED_MAX,
    LEASE_COUNT_MAX,
    Key,
    LeaseState,
    key_of,
)
from meter_agent.uplink.sync_pace import SyncPace
from metering.api.v1 import lease_pb2
from metering.errors import MeteringError

BACKOFF_CAP_SECONDS: Final = 5.0
"""Bound of the wait after a failed sync: quota never waits as long as the backlog may."""
IDLE_SECONDS: Final = 1.0
STOP_SECONDS: Final = 5.0
_NONCE_BYTES: Final = 16
_OUTCOMES: Final = {
    lease_pb2.LEASE_RESULT_OK: SyncOutcome.DONE,
    lease_pb2.LEASE_RESULT_FENCED: SyncOutcome.FENCED,
    lease_pb2.LEASE_RESULT_IDENTITY_TAKEN: SyncOutcome.IDENTITY_TAKEN,
}
_LOG = structlog.get_logger("meter_agent.uplink")

Call: TypeAlias = "grpc.Future[lease_pb2.SyncLeasesResponse]"


class LeaseSyncer:
    """Keeps the server and this agent of one mind about leases, for as long as the agent runs.

    Args:
        state: Shared with the shipper and with who asks for leases.
        connector: Holds the channel of the lease side, which is not that of the backlog.
        writer: Makes changes durable.
        on_session_lost: Called where a session must be opened.
        backoff: Waits after failures.
    """

    def __init__(
        self,
        state: LeaseState,
        *,
        connector: Connector,
        writer: Writer,
        on_session_lost: Callable[[], None],
        backoff: BackoffPolicy,
    ) -> None:
        self._state = state
        self._connector = connector
        self._writer = writer
        self._on_session_lost = on_session_lost
        self._backoff = BackoffPolicy(
            backoff.first_seconds, min(backoff.cap_seconds, BACKOFF_CAP_SECONDS)
        )
        self._changed = threading.Condition()
        self._has_news = False
        self._is_stopping = False
        self._is_owed = False
        self._pace = SyncPace()
        self._dropped: list[lease_pb2.ReservationKey] = []
        self._overtaken: set[Key] = set()
        """Leases told by syncs of the present number that were given up, or failed."""
        self._thread = threading.Thread(target=self._run, name="lease-syncer", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; a call in flight is given up, which is safe: it will be repeated."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        self._connector.close()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def poke(self) -> None:
        """Says that the server should hear of something now. Cheap: called inside commits."""
        with self._changed:
            self._has_news = True
            self._changed.notify_all()

    def owe(self) -> None:
        """Says that a recall was answered: somebody waits for the server to hear of it."""
        with self._changed:
            self._is_owed = True
            self._changed.notify_all()

    def _run(self) -> None:
        failure_count = 0
        while not self._is_stopping:
            try:
                self._turn()
                failure_count = 0
            except (UplinkError, MeteringError) as error:
                self._note_failure(error)
                if isinstance(error, UplinkError) and error.is_given_up:
                    continue  # Who asks has opened a new channel: the sync goes over that one.
                failure_count += 1
                self._sleep(
                    backoff_seconds(
                        failure_count,
                        policy=self._backoff,
                        uniform=secrets.SystemRandom().uniform,
                        retry_after_seconds=getattr(error, "retry_after_seconds", None),
                    )
                )
            except Exception:  # noqa: BLE001 - a bug here must not end quota for good
                _LOG.exception("lease_sync_failed")
                self._sleep(self._backoff.cap_seconds)
        self._connector.close()

    def _turn(self) -> None:
        """Does one sync, or waits until there is something to sync."""
        if not self._writer.state.positions.session_no or not self._state.counter.book.is_used:
            self._wait_for_news(IDLE_SECONDS)
            return
        calm_seconds = self._take_turn()
        if self._is_stopping:
            return
        client = self._connector.client()
        attempt = self._attempt()
        if not attempt.session_no:
            return
        sent_at_us = self._state.counter.book.clock.now_us()
        request, leases = self._request(attempt)
        if calm_seconds:
            request.calm.FromTimedelta(timedelta(seconds=calm_seconds))
        call = client.begin_sync(request)
        # Until its answer is here, the server may hear it behind the one that repeats it.
        overtaken, self._overtaken = self._overtaken, self._overtaken | set(map(key_of, leases))
        if not self._wait_for_answer(call):
            return  # Sent again, under the same number, with what is new.
        response = client.sync_result(call)
        self._overtaken = overtaken
        heard = Heard(sent_at_us, attempt.applied_seq)
        self._answered(
            attempt, response, heard=heard, leases=leases, named=frozenset(request.customer_ids)
        )

    def _attempt(self) -> Positions:
        """Writes the number of the next sync, and gives back what is idle, before it is sent."""
        counter, nonce = self._state.counter, secrets.token_bytes(_NONCE_BYTES)
        idle = news.idle(counter.book.all_leases(), counter=counter)

        def change(positions: Positions) -> Positions:
            if not positions.session_no:
                return positions
            news.return_idle(idle, counter=counter)
            return sync_attempted(positions, fresh_nonce=nonce)

        return self._writer.change(change)

    def _request(self, attempt: Positions) -> tuple[lease_pb2.SyncLeasesRequest, list[Lease]]:
        """Returns the request, and the leases whose counters it tells."""
        state = self._state
        told = state.answered_counters
        leases, messages = [], []
        for lease in state.shared_leases():
            message = counters_to_proto(lease)
            if told.get(key_of(lease)) != message.SerializeToString():
                leases.append(lease)
                messages.append(message)
        now_us = state.counter.book.clock.now_us()
        wants = state.counter.demands.recent(now_us=now_us)
        request = lease_pb2.SyncLeasesRequest(
            session_no=attempt.session_no,
            sync_no=attempt.sync_no,
            nonce=attempt.nonce,
            server_incarnation=attempt.server_incarnation,
            disk_id=attempt.disk_id,
            leases=messages[:LEASE_COUNT_MAX],
            wants=[
                want_to_proto(key, demand, now_us=now_us)
                for key, demand in list(wants.items())[:LEASE_COUNT_MAX]
            ],
            terms_revision=state.terms_revision,
            heard_answer_no=0 if state.mark is None else state.mark.answer_no,
            customer_ids=state.unnamed[:CUSTOMERS_NAMED_MAX],
            answer_at_once=len(messages) > LEASE_COUNT_MAX
            or len(state.unnamed) > CUSTOMERS_NAMED_MAX,
            dropped=self._dropped,
        )
        return request, leases[:LEASE_COUNT_MAX]

    def _answered(
        self,
        attempt: Positions,
        response: lease_pb2.SyncLeasesResponse,
        *,
        heard: Heard,
        leases: list[Lease],
        named: frozenset[str],
    ) -> None:
        outcome = _OUTCOMES.get(response.result)
        if outcome is None:
            raise UplinkError(
                message=f"the server {self._connector.server} answered a sync with the unknown "
                f"result {response.result}: it is newer than this agent; upgrade the agent",
                is_answered=True,
            )
        fresh_disk_id = secrets.token_bytes(DISK_ID_BYTES)
        result = _Result()

        def change(positions: Positions) -> Positions:
            if not is_latest(positions, session_no=attempt.session_no, attempt_nonce=attempt.nonce):
                return positions
            result.is_heeded = True
            if outcome is SyncOutcome.DONE:
                self._adopt(response, heard=heard, result=result)
            elif outcome is SyncOutcome.IDENTITY_TAKEN:
                news.give_up_all(self._state.counter)
            return sync_answered(
                positions,
                outcome=outcome,
                session_no=attempt.session_no,
                attempt_nonce=attempt.nonce,
                fresh_disk_id=fresh_disk_id,
            )

        after = self._writer.change(change)
        self._state.answered()
        if not result.is_heeded:
            return
        if outcome is SyncOutcome.DONE:
            self._note_done(attempt, response, leases=leases, result=result)
            self._state.named(named)
        if not after.session_no:
            _LOG.warning("lease_sync_refused", outcome=outcome.value)
            self._on_session_lost()

    def _adopt(
        self, response: lease_pb2.SyncLeasesResponse, *, heard: Heard, result: "_Result"
    ) -> None:
        counter = self._state.counter
        result.dropped = news.drop_settled_elsewhere(response.settled_elsewhere, counter=counter)
        result.is_recalled = news.adopt(
            response.leases,
            response.customers,
            heard=heard,
            adoption=Adoption.ANY,
            counter=counter,
        )

    def _note_done(
        self,
        attempt: Positions,
        response: lease_pb2.SyncLeasesResponse,
        *,
        leases: list[Lease],
        result: "_Result",
    ) -> None:
        state = self._state
        state.mark = SyncMark(attempt.sync_no, attempt.nonce, response.answer_no)
        state.terms_revision = max(state.terms_revision, response.terms_revision)
        state.sync_count += 1
        state.last_sync_time = state.clock.now()
        for lease in leases:
            state.answered_counters[key_of(lease)] = counters_to_proto(lease).SerializeToString()
        # What a given-up sync of this number told may be heard last: the next number tells it anew.
        for key in self._overtaken:
            state.answered_counters.pop(key, None)
        self._overtaken = set()
        state.drop_gone()
        self._dropped = result.dropped
        if result.is_recalled or result.dropped:
            self.owe()
        if response.HasField("retry_after"):
            self._sleep(response.retry_after.ToTimedelta().total_seconds())

    def _wait_for_answer(self, call: Call) -> bool:
        """Waits for the answer; gives the call up, and returns False, where there is news."""
        done = threading.Event()

        def wake(_: object) -> None:
            done.set()
            with self._changed:
                self._changed.notify_all()

        call.add_done_callback(wake)
        with self._changed:
            self._changed.wait_for(lambda: done.is_set() or self._has_news or self._is_urgent)
            delay = self._pace.delay(now=self._state.clock.monotonic())
            self._changed.wait_for(lambda: done.is_set() or self._is_urgent, delay)
        if done.is_set():
            return True
        call.cancel()
        return False

    @property
    def _is_urgent(self) -> bool:
        """Whether the call in flight is to be given up at once."""
        return self._is_owed or self._is_stopping

    def _take_turn(self) -> float:
        """Waits where syncs follow each other too fast; returns how calm the next one is to be."""
        now = self._state.clock.monotonic()
        with self._changed:
            is_owed, self._is_owed, self._has_news = self._is_owed, False, False
        turn = self._pace.owed_turn(now=now) if is_owed else self._pace.turn(now=now)
        if turn.wait_seconds:
            self._sleep(turn.wait_seconds)
        return turn.calm_seconds

    def _wait_for_news(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._has_news or self._is_stopping, seconds)
            self._has_news = False

    def _sleep(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping, seconds)

    def _note_failure(self, error: UplinkError | MeteringError) -> None:
        if self._is_stopping:
            return
        if isinstance(error, UplinkError) and (error.is_busy or error.is_given_up):
            _LOG.info("lease_sync_repeated", error=error.message)
            return
        message = self._connector.failed(error)
        if isinstance(error, UplinkError):
            self._state.failed()
        _LOG.warning("lease_sync_failed", error=message)


class _Result:
    """What an answer brought."""

    def __init__(self) -> None:
        self.is_heeded = False
        self.is_recalled = False
        self.dropped: list[lease_pb2.ReservationKey] = []
