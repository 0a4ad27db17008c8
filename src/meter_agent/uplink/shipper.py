"""Ships the buffer to the server in order: one thread, one call in flight (protocol section 3)."""

import secrets
import threading
from dataclasses import replace
from typing import Final

import structlog
import tenacity

from meter_agent.core import positions as core
from meter_agent.core.backoff import backoff_seconds
from meter_agent.core.blocks import Block
from meter_agent.core.isolation import Isolation, RefusalStep
from meter_agent.core.positions import Positions, PushAnswer, PushOutcome, PushSent
from meter_agent.core.quota.sync import SyncMark
from meter_agent.store.reader import OutboxReader
from meter_agent.store.refused import refused_from_block
from meter_agent.store.schema import DISK_ID_BYTES
from meter_agent.store.writer import Writer
from meter_agent.uplink import mapping
from meter_agent.uplink.client import IdentityTakenError, IngestClient, UplinkError
from meter_agent.uplink.connector import Connector, split_servers
from meter_agent.uplink.lease_state import LeaseState
from meter_agent.uplink.settings import UplinkHealth, UplinkSettings
from meter_agent.uplink.tally import ObservedChange, UplinkTally
from meter_agent.uplink.tls import TlsSource
from meter_agent.uplink.token import TokenSource
from metering.api.v1.ingest_pb2 import PushUsageResponse
from metering.clock import Clock
from metering.errors import MeteringError

PUSH_EVENT_COUNT_MAX: Final = 5_000
"""Events of one push, also where the server would take more."""
PUSH_BYTES_MAX: Final = 4 * 1024 * 1024
"""Bytes of the blocks of one push, also where the server would take more."""
LINGER_SECONDS: Final = 0.02
"""After a push that was not full, more may gather: a call a commit would be wasteful."""
STOP_SECONDS: Final = 5.0
_WATCH_SECONDS: Final = 1.0
_NONCE_BYTES: Final = 16
_LOG = structlog.get_logger("meter_agent.uplink")


class Shipper:
    """Opens sessions and pushes what is buffered, for as long as the agent runs.

    Args:
        settings: How to talk to the server.
        writer: Owner of the positions.
        reader: The buffer; used by the shipper's thread alone.
        tokens: The agent's token.
        clock: For the waits.
        leases: What sessions say of leases; None: nothing.
    """

    def __init__(
        self,
        settings: UplinkSettings,
        *,
        writer: Writer,
        reader: OutboxReader,
        tokens: TokenSource,
        clock: Clock,
        leases: LeaseState | None = None,
    ) -> None:
        self._settings = settings
        self._leases = leases
        self._writer = writer
        self._reader = reader
        self._connector = Connector(
            split_servers(settings.server),
            tokens=tokens,
            tls=TlsSource(settings.tls),
            call_seconds=settings.call_seconds,
        )
        self._clock = clock
        self._health = UplinkHealth()
        border = writer.border
        carried_over = border.positions.buffered_count - border.accepted_count
        self.tally: Final = UplinkTally(carried_over=carried_over, clock=clock)
        self._event_count_max = PUSH_EVENT_COUNT_MAX
        self._bytes_max = PUSH_BYTES_MAX
        self._is_session_fruitful = True
        self._isolation = Isolation()
        self._set_aside_seq = 0
        self._stopping = threading.Event()
        self._work = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)

    @property
    def health(self) -> UplinkHealth:
        """How the last call to the server ended."""
        return self._health

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def notify(self) -> None:
        """Says that there is something to ship. Cheap: called after each commit."""
        if not self._work.is_set():
            self._work.set()

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; a call in flight is given up, which is safe: it will be repeated."""
        self._stopping.set()
        self._work.set()
        self._connector.close()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((UplinkError, MeteringError)),
            wait=self._wait_seconds,
            sleep=self._sleep,
            stop=tenacity.stop_when_event_set(self._stopping),
            before_sleep=self._note_failure,
        )
        while not self._stopping.is_set():
            try:
                retrying(self._step)
            except tenacity.RetryError:
                break
            except Exception:  # noqa: BLE001 - a bug here must not end shipping for good
                _LOG.exception("shipping_failed")
                self._stopping.wait(self._settings.backoff.cap_seconds)
        self._connector.close()

    def _step(self) -> None:
        """Ships one page, or waits for one. Returns where it went well."""
        client = self._connector.client()
        positions = self._writer.state.positions
        if positions.session_no == 0:
            positions = self._open_session(client)
            if positions.session_no == 0:
                return  # Another disk id was taken: the next turn opens its session.
        self._work.clear()
        if self._stopping.is_set():
            return  # A stop that came before the clear woke nobody.
        page = self._reader.page(
            first_seq=positions.applied_seq + 1,
            event_count_max=min(self._event_count_max, self._isolation.event_count_max),
            bytes_max=self._bytes_max,
        )
        if not page and not self._work.wait(self._alive_seconds()):
            self._push(client, positions, [])
        elif page:
            self._push(client, positions, page)

    def _open_session(self, client: IngestClient) -> Positions:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        # The attempt is on disk before it is sent, so a repeat after a kill is the same attempt.
        attempt = self._writer.change(
            lambda state: core.session_attempted(state, fresh_nonce=nonce)
        )
        request = mapping.session_request_to_proto(
            core.told_behind(attempt, set_aside_seq=self._set_aside_seq),
            agent_version=self._settings.agent_version,
            oldest_event_time_us=self._oldest_event_time_us(attempt.applied_seq + 1),
            leases=None if self._leases is None else self._leases.counters(),
        )
        sent_at_us = 0 if self._leases is None else self._leases.now_us()
        fresh_disk_id = secrets.token_bytes(DISK_ID_BYTES)
        try:
            response = client.open_session(request)
        except IdentityTakenError as error:
            return self._change_identity(attempt, fresh_disk_id=fresh_disk_id, error=error)
        answer = mapping.session_answer_from_proto(response)

        def open_session(state: Positions) -> Positions:
            after = core.session_opened(
                state, answer, attempt_nonce=attempt.nonce, fresh_disk_id=fresh_disk_id
            )
            if after is not state and self._leases is not None:
                self._leases.session_opened(
                    response.leases if after.session_no else None,
                    sent_at_us=sent_at_us,
                    applied_seq=state.applied_seq,
                )
            return after

        change = ObservedChange(open_session)
        opened = self._writer.change(change)
        if opened.session_no and self._leases is not None:
            mark = SyncMark(attempt.sync_no, attempt.nonce, response.answer_no)
            self._leases.session_is_open(mark)
        self.tally.session_opened(change)
        self._event_count_max = _bound(response.push_event_count_max, PUSH_EVENT_COUNT_MAX)
        self._bytes_max = _bound(response.push_bytes_max, PUSH_BYTES_MAX)
        self._health = UplinkHealth(is_reachable=True)
        _LOG.info(
            "session_opened",
            server=self._connector.server,
            agent_id=opened.agent_id,
            session_no=opened.session_no,
            applied_seq=opened.applied_seq,
            server_applied_seq=answer.applied_seq,
            buffered_count=opened.buffered_count,
        )
        return opened

    def _change_identity(
        self, attempt: Positions, *, fresh_disk_id: bytes, error: IdentityTakenError
    ) -> Positions:
        """Goes on under another disk id: this one was rolled back, or lives elsewhere as well."""
        _LOG.warning("disk_id_taken", disk_id=attempt.disk_id.hex(), error=str(error))

        def change_identity(state: Positions) -> Positions:
            after = core.identity_taken(
                state, attempt_nonce=attempt.nonce, fresh_disk_id=fresh_disk_id
            )
            if after is not state and self._leases is not None:
                self._leases.given_up()
            return after

        return self._writer.change(change_identity)

    def _push(self, client: IngestClient, positions: Positions, page: list[Block]) -> None:
        sent = PushSent(
            session_no=positions.session_no,
            server_incarnation=positions.server_incarnation,
            first_seq=positions.applied_seq + 1,
            last_seq=page[-1].last_seq if page else positions.applied_seq,
            seq_offset=positions.seq_offset,
        )
        request = mapping.push_request_to_proto(
            sent,
            positions=positions,
            page=page,
            oldest_event_time_us=self._oldest_event_time_us(sent.last_seq + 1),
        )
        try:
            response = client.push_usage(request)
        except UplinkError as error:
            if not error.is_content_refused:
                raise
            self._push_refused(sent, page[0], error)
            return
        answer = mapping.push_answer_from_proto(response)
        if answer is None:
            raise UplinkError(
                message=f"the server {self._connector.server} answered a push with the unknown "
                f"result {response.result}: it is newer than this agent; upgrade the agent",
                is_answered=True,
            )
        change = ObservedChange(lambda state: core.push_answered(state, sent=sent, answer=answer))
        after = self._writer.change(change)
        self._note_answer(answer, response, change)
        self._health = UplinkHealth(is_reachable=True)
        if answer.outcome is PushOutcome.APPLIED:
            self._is_session_fruitful = True
            self._isolation.push_applied()
            if page:
                self._rest_after_push(response, event_count=sent.last_seq - sent.first_seq + 1)
            return
        _LOG.warning(
            "push_not_applied",
            outcome=answer.outcome.value,
            first_seq=sent.first_seq,
            server_applied_seq=answer.applied_seq,
            applied_seq=after.applied_seq,
        )
        self._refuse_endless_turns()

    def _note_answer(
        self, answer: PushAnswer, response: PushUsageResponse, change: ObservedChange
    ) -> None:
        if answer.outcome is PushOutcome.GAP:
            self.tally.gap_answered(change, server_applied_seq=answer.applied_seq)
        elif answer.outcome is PushOutcome.FENCED:
            self.tally.fenced()
        else:
            counts = mapping.push_counts_from_proto(response)
            self.tally.pushed(counts, border=self._writer.border)

    def _push_refused(self, sent: PushSent, block: Block, error: UplinkError) -> None:
        """Looks for the event that is at fault, and sets it aside once it stands alone.

        Raises:
            UplinkError: The server may be at fault: the event is to be pushed again later.
        """
        step = self._isolation.push_refused(
            first_seq=sent.first_seq, event_count=sent.last_seq - sent.first_seq + 1
        )
        self._health = UplinkHealth(is_reachable=True, last_error=error.message)
        if step is RefusalStep.NARROW:
            return
        if step is RefusalStep.WAIT:
            raise replace(error, retry_after_seconds=self._settings.refused_retry_seconds)
        refused = refused_from_block(block, reason=error.reason, message=error.message)
        self._writer.change(lambda state: core.set_aside(state, sent=sent), refused=refused)
        self._set_aside_seq = sent.last_seq
        self.tally.set_aside()
        _LOG.error(
            "event_set_aside",
            seq=sent.first_seq,
            reason=error.reason,
            error=error.message,
            remedy="this event is not counted; it lies in the table refused_block of agent.db: "
            "correct it and record it again under the same event id",
        )

    def _refuse_endless_turns(self) -> None:
        """Lets the first refusal through at once and makes the next ones wait.

        A session that was fenced once is nothing: a restart does it. One after another means that
        two agents use one token, and each new session fences the other.
        """
        if not self._is_session_fruitful:
            raise UplinkError(
                message=f"the server {self._connector.server} refuses this agent's position again "
                "and again: another agent may use the same token; enroll each agent by itself",
                is_answered=True,
            )
        self._is_session_fruitful = False

    def _rest_after_push(self, response: PushUsageResponse, *, event_count: int) -> None:
        if response.HasField("retry_after"):
            delay = response.retry_after
            self._stopping.wait(min(delay.seconds + delay.nanos / 1e9, self._cap_seconds))
        elif event_count < self._event_count_max // 2:
            self._stopping.wait(LINGER_SECONDS)

    @property
    def _cap_seconds(self) -> float:
        return self._settings.backoff.cap_seconds

    def _alive_seconds(self) -> float:
        """Returns how long to be silent at most; spread, so that idle agents do not call as one."""
        return self._settings.alive_seconds * secrets.SystemRandom().uniform(0.8, 1.2)

    def _oldest_event_time_us(self, first_seq: int) -> int | None:
        """Returns the oldest event time that is left once what lies before `first_seq` is applied.

        What is still on its way to the disk counts too, and is asked first: a period is closed on
        this word.
        """
        queued = self._writer.oldest_queued_event_time_us()
        durable = self._reader.oldest_event_time_us(first_seq=first_seq)
        if queued is None or durable is None:
            return queued if durable is None else durable
        return min(queued, durable)

    def _wait_seconds(self, state: tenacity.RetryCallState) -> float:
        error = _failure(state)
        retry_after = getattr(error, "retry_after_seconds", None)
        if isinstance(error, UplinkError) and error.is_refused:
            retry_after = self._settings.refused_retry_seconds
        return backoff_seconds(
            state.attempt_number,
            policy=self._settings.backoff,
            uniform=secrets.SystemRandom().uniform,
            retry_after_seconds=retry_after,
        )

    def _note_failure(self, state: tenacity.RetryCallState) -> None:
        error = _failure(state)
        if self._stopping.is_set():
            return
        # What the agent's own disk refuses says nothing about the server.
        is_reachable = (
            error.is_answered if isinstance(error, UplinkError) else self._health.is_reachable
        )
        message = self._connector.failed(error)
        self._health = UplinkHealth(is_reachable=is_reachable, last_error=message)
        if isinstance(error, UplinkError):
            self.tally.failed()
        _LOG.warning(
            "uplink_failed",
            error=message,
            attempt=state.attempt_number,
            retry_in_seconds=round(state.upcoming_sleep, 3),
            buffered_count=self._writer.state.positions.buffered_count,
        )

    def _sleep(self, seconds: float) -> None:
        """Waits; ends early at a stop, or when the token or a certificate has changed."""
        fingerprint = self._connector.fingerprint()
        end = self._clock.monotonic() + seconds
        while not self._stopping.is_set():
            left = end - self._clock.monotonic()
            if left <= 0 or self._connector.fingerprint() != fingerprint:
                return
            self._stopping.wait(min(left, _WATCH_SECONDS))


def _bound(offered: int, own: int) -> int:
    """Returns the lower of both bounds; a server that offers none leaves the agent's own."""
    return min(offered, own) if offered > 0 else own


def _failure(state: tenacity.RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()
