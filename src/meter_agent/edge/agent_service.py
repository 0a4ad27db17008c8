"""The gRPC service that inference services call: recording and the status; quota is beside it."""

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Final, Protocol

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from meter_agent.core.blocks import ack_level_of, is_plain_run, split_events
from meter_agent.core.validation import (
    EVENT_BYTES_MAX,
    EVENT_ID_BYTES_MAX,
    BatchVerdict,
    EventProblem,
    Rejection,
    judge_batch,
    judge_each,
)
from meter_agent.edge.callers import caller_of
from meter_agent.edge.quota_service import QuotaService, Unsettled
from meter_agent.quota.desk import QuotaDesk
from meter_agent.store.applied_watch import AppliedWatch
from meter_agent.store.group import Ticket
from meter_agent.store.operation import Operation
from meter_agent.store.writer import COMMIT_EVENT_COUNT_MAX
from metering.api.v1 import agent_pb2, usage_pb2
from metering.api.v1.ingest_pb2 import UsageEvents
from metering.clock import Clock
from metering.errors import InvalidStateError, MeteringError, ValidationError

REQUEST_EVENT_COUNT_MAX: Final = 10_000
REQUEST_BYTES_MAX: Final = 4 * 1024 * 1024
FULL_MESSAGE_COUNT_MAX: Final = 1_000
"""Refused events of one request that are told in full: a client takes 4 MiB by default."""
COMMIT_SECONDS_MAX: Final = 120.0
"""How long a call without a deadline waits for a disk that does not answer."""
ANSWER_SECONDS: Final = 0.1
"""What of a call's time is kept for the answer that says why it was not applied in time."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US_PER_SECOND: Final = 1_000_000
_SHORT_MESSAGE: Final = "see the reason, and the messages of the events before"


class Recorder(Protocol):
    """Where good events become durable."""

    def append(
        self,
        events: bytes,
        *,
        event_count: int,
        receive_time_us: int,
        oldest_event_time_us: int,
        caller: str,
    ) -> Ticket:
        """Queues events; they are durable once the ticket's wait returns."""
        ...

    def submit(self, operation: Operation) -> None:
        """Queues a change of leases with its usage; its ticket says when it is durable."""
        ...

    @property
    def applied(self) -> AppliedWatch:
        """Where callers wait for the server."""
        ...


class StatusSource(Protocol):
    """Tells how the agent stands."""

    @property
    def agent_id(self) -> str:
        """The agent's id, empty before its first session."""
        ...

    @property
    def has_server(self) -> bool:
        """Whether the agent ships to a server at all."""
        ...

    def status(self) -> agent_pb2.GetAgentStatusResponse:
        """Returns all but the counters of this service."""
        ...


class AgentService(QuotaService):
    """Records usage, answers for quota and tells how the agent stands.

    Args:
        recorder: Where good events become durable.
        source: Tells how the agent stands.
        clock: Of the host; receive times and the accept window come from it.
        desk: Answers for quota, and takes usage from leases.
        unsettled: Lists reservations that nobody ended.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        source: StatusSource,
        clock: Clock,
        desk: QuotaDesk,
        unsettled: Unsettled,
    ) -> None:
        super().__init__(desk, unsettled=unsettled)
        self._recorder = recorder
        self._source = source
        self._clock = clock

    def GetAgentStatus(  # noqa: D102 - the name and the meaning stand in the contract
        self, request: agent_pb2.GetAgentStatusRequest, context: grpc.ServicerContext
    ) -> agent_pb2.GetAgentStatusResponse:
        status = self._source.status()
        counted = self.counters.view()
        status.accepted_count = counted.accepted
        status.rejected_count = counted.rejected_count
        return status

    def answer_record_usage(self, raw: bytes, context: grpc.ServicerContext) -> bytes:
        """Answers RecordUsage, and counts what is refused as a whole by its reason.

        Raises:
            MeteringError: As `record_usage`.
        """
        try:
            return self.record_usage(raw, context)
        except MeteringError as error:
            self.counters.refused(error.reason)
            raise

    def record_usage(self, raw: bytes, context: grpc.ServicerContext) -> bytes:
        """Answers RecordUsage from the request's bytes to the answer's bytes.

        The request is taken unparsed because its bytes, where every event is good, already are the
        block that is stored and shipped: nothing is serialized again.

        Raises:
            MeteringError: Nothing of the request was recorded, or that is not known.
        """
        if len(raw) > REQUEST_BYTES_MAX:
            raise ValidationError(
                reason="REQUEST_TOO_LARGE",
                message=f"the request has {len(raw)} bytes; at most {REQUEST_BYTES_MAX} (4 MiB) "
                "are accepted: send it in parts",
                metadata={"bytes_max": str(REQUEST_BYTES_MAX)},
            )
        try:
            request = agent_pb2.RecordUsageRequest.FromString(raw)
        except DecodeError:
            return self._record_event_by_event(raw, context)
        self._check_level(request.ack_level)
        events: Sequence[usage_pb2.UsageEvent] = request.events
        _check_event_count(len(events))
        receive_time_us = self._now_us()
        if is_plain_run(raw):
            verdict = judge_batch(events, receive_time_us=receive_time_us)
        else:
            # The level and what else stands beside the events are no part of the block.
            raw = b""
            verdict = _judge_with_size(events, receive_time_us=receive_time_us)
        if verdict.rejections:
            refused = {rejection.index for rejection in verdict.rejections}
            events = [event for index, event in enumerate(events) if index not in refused]
            raw = b""
        call = _Call(context, request.ack_level, receive_time_us)
        return self._record(events, raw, verdict, call)

    def _record_event_by_event(self, raw: bytes, context: grpc.ServicerContext) -> bytes:
        """Records a request that cannot be parsed as a whole: one broken event spoils no other."""
        try:
            parts = split_events(raw)
            level = ack_level_of(raw)
        except ValueError as error:
            raise ValidationError(
                reason="REQUEST_MALFORMED",
                message=f"the request is no RecordUsageRequest ({error}); encode it with the "
                "contract's own messages (proto/metering/api/v1/agent.proto)",
            ) from None
        self._check_level(level)
        _check_event_count(len(parts))
        receive_time_us = self._now_us()
        rejections: list[Rejection] = []
        events: list[usage_pb2.UsageEvent] = []
        places: list[int] = []
        for index, part in enumerate(parts):
            try:
                events.append(usage_pb2.UsageEvent.FromString(part))
                places.append(index)
            except DecodeError:
                rejections.append(Rejection(index, "", _MALFORMED_EVENT))
        verdict = _judge_with_size(events, receive_time_us=receive_time_us)
        refused = {rejection.index for rejection in verdict.rejections}
        rejections += [
            Rejection(places[item.index], item.event_id, item.problem)
            for item in verdict.rejections
        ]
        rejections.sort(key=lambda rejection: rejection.index)
        good = [event for index, event in enumerate(events) if index not in refused]
        whole = BatchVerdict(tuple(rejections), verdict.oldest_event_time_us)
        return self._record(good, b"", whole, _Call(context, level, receive_time_us))

    def _check_level(self, level: int) -> None:
        if level not in usage_pb2.AckLevel.values():
            raise ValidationError(
                reason="ACK_LEVEL_UNKNOWN",
                message=f"ack_level {level} is unknown; leave it unset, or use ACK_LEVEL_LOCAL or "
                "ACK_LEVEL_SERVER",
            )
        if level == usage_pb2.ACK_LEVEL_SERVER and not self._source.has_server:
            raise InvalidStateError(
                reason="SERVER_NOT_CONFIGURED",
                message="ack_level ACK_LEVEL_SERVER waits for the server, and this agent has none: "
                "nothing was recorded; start it with --server HOST:PORT, or leave ack_level unset",
            )

    def _record(
        self,
        events: Sequence[usage_pb2.UsageEvent],
        raw: bytes,
        verdict: BatchVerdict,
        call: "_Call",
    ) -> bytes:
        """Makes good events durable and answers; `raw` is their block where it is known."""
        is_server_asked = call.level == usage_pb2.ACK_LEVEL_SERVER and bool(events)
        applied = self._recorder.applied
        # The place is taken first: who cannot wait has recorded nothing.
        with applied.place(call.caller) if is_server_asked else nullcontext():
            spans = self._make_durable(events, raw, verdict, call)
            if is_server_asked:
                applied.wait(
                    spans,
                    timeout_seconds=_answer_seconds(call.context),
                    is_wanted=call.context.is_active,
                )
        return agent_pb2.RecordUsageResponse(
            accepted_count=len(events),
            rejected=_rejections_to_proto(verdict.rejections),
            agent_id=self._source.agent_id,
        ).SerializeToString()

    def _make_durable(
        self,
        events: Sequence[usage_pb2.UsageEvent],
        raw: bytes,
        verdict: BatchVerdict,
        call: "_Call",
    ) -> list[range]:
        """Returns once the events are on disk, with the spans that the applied watch knows."""
        tickets = []
        for start in range(0, len(events), COMMIT_EVENT_COUNT_MAX):
            part = events[start : start + COMMIT_EVENT_COUNT_MAX]
            is_whole = bool(raw) and len(part) == len(events)
            block = raw if is_whole else UsageEvents(events=part).SerializeToString()
            if self._desk.is_limited(part):
                operation = self._desk.usage_operation(
                    part,
                    block=block,
                    receive_time_us=call.receive_time_us,
                    oldest_event_time_us=verdict.oldest_event_time_us,
                    caller=call.caller,
                )
                self._recorder.submit(operation)
                tickets.append(operation.ticket)
                continue
            tickets.append(
                self._recorder.append(
                    block,
                    event_count=len(part),
                    receive_time_us=call.receive_time_us,
                    oldest_event_time_us=verdict.oldest_event_time_us,
                    caller=call.caller,
                )
            )
        for ticket in tickets:
            ticket.wait(_wait_seconds(call.context))
        self.counters.recorded(
            len(events), rejected_reasons=[item.problem.reason for item in verdict.rejections]
        )
        return [ticket.span for ticket in tickets]

    def _now_us(self) -> int:
        span = self._clock.now() - _EPOCH
        return (span.days * 86_400 + span.seconds) * _US_PER_SECOND + span.microseconds


class _Call:
    """What is asked of one call, beside its events."""

    __slots__ = ("caller", "context", "level", "receive_time_us")

    def __init__(self, context: grpc.ServicerContext, level: int, receive_time_us: int) -> None:
        self.context = context
        self.level = level
        self.receive_time_us = receive_time_us
        self.caller = caller_of(context)


_MALFORMED_EVENT: Final = EventProblem(
    reason="EVENT_MALFORMED",
    message="the event is no UsageEvent (a text that is not UTF-8, or a broken encoding); encode "
    "it with the contract's own messages (proto/metering/api/v1/usage.proto)",
)


def _judge_with_size(
    events: Sequence[usage_pb2.UsageEvent], *, receive_time_us: int
) -> BatchVerdict:
    """Judges events whose sizes are not known from their bytes."""
    if all(event.ByteSize() <= EVENT_BYTES_MAX for event in events):
        return judge_batch(events, receive_time_us=receive_time_us)
    return judge_each(events, receive_time_us=receive_time_us)


def _wait_seconds(context: grpc.ServicerContext) -> float:
    """Returns the seconds until the caller's deadline, which may be without end."""
    remaining = context.time_remaining()
    return COMMIT_SECONDS_MAX if remaining is None else min(remaining, COMMIT_SECONDS_MAX)


def _answer_seconds(context: grpc.ServicerContext) -> float:
    """Returns the seconds to wait for the server: a little less, so that the answer arrives."""
    wait_seconds = _wait_seconds(context)
    return wait_seconds - min(ANSWER_SECONDS, wait_seconds / 10)


def _check_event_count(event_count: int) -> None:
    if event_count == 0:
        raise ValidationError(
            reason="EVENTS_MISSING",
            message="events is empty; send 1 to 10,000 events",
        )
    if event_count > REQUEST_EVENT_COUNT_MAX:
        raise ValidationError(
            reason="TOO_MANY_EVENTS",
            message=f"events has {event_count} entries; at most {REQUEST_EVENT_COUNT_MAX} are "
            "accepted: send them in parts",
            metadata={"event_count_max": str(REQUEST_EVENT_COUNT_MAX)},
        )


def _rejections_to_proto(rejections: Sequence[Rejection]) -> list[usage_pb2.RejectedEvent]:
    """Returns the refused events in a size that every client takes, whatever was sent."""
    return [
        usage_pb2.RejectedEvent(
            index=rejection.index,
            event_id=_cut(rejection.event_id),
            reason=rejection.problem.reason,
            message=rejection.problem.message
            if number < FULL_MESSAGE_COUNT_MAX
            else _SHORT_MESSAGE,
        )
        for number, rejection in enumerate(rejections)
    ]


def _cut(event_id: str) -> str:
    """Returns as many whole characters of an id as an id may have bytes."""
    raw = event_id.encode()
    if len(raw) <= EVENT_ID_BYTES_MAX:
        return event_id
    return raw[:EVENT_ID_BYTES_MAX].decode(errors="ignore")


def timestamp_from_datetime(instant: datetime) -> Timestamp:
    """Returns the instant as a message."""
    timestamp = Timestamp()
    timestamp.FromDatetime(instant)
    return timestamp
