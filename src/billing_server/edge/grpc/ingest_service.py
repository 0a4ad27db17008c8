"""IngestService at the edge: protobuf messages to and from the use cases."""

import threading
from datetime import datetime
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from billing_server.domain.ports.agents import Agent
from billing_server.domain.session.pushing import retry_after_ms
from billing_server.domain.usage.instants import instant_from_microseconds
from billing_server.edge.grpc.lease_messages import (
    lease_reports_from_proto,
    told_lease_to_proto,
)
from billing_server.edge.grpc.timestamps import (
    MICROSECONDS_PER_SECOND,
    NANOSECONDS_PER_MICROSECOND,
    timestamp_from_instant,
)
from billing_server.services.authenticate_agent import authenticate_agent
from billing_server.services.context import ServiceContext
from billing_server.services.ingest_usage import PushOutcome, PushState, UsageIngester
from billing_server.services.join_fleet import join_fleet
from billing_server.services.open_session import OpenedSession, SessionRequest, open_session
from billing_server.services.usage_payload import (
    PUSH_BYTES_MAX,
    PUSH_EVENTS_MAX,
    TIMESTAMP_SECONDS_MAX,
    PushedBlock,
    UsagePush,
)
from metering.api.v1 import ingest_pb2, ingest_pb2_grpc
from metering.errors import UnavailableError, ValidationError
from metering.rpc import token_from_metadata

_RESULTS = {
    PushState.APPLIED: ingest_pb2.PUSH_RESULT_APPLIED,
    PushState.FENCED: ingest_pb2.PUSH_RESULT_FENCED,
    PushState.GAP: ingest_pb2.PUSH_RESULT_GAP,
}

JOINS_AT_ONCE_MAX: Final = 4
"""Hosts that are let in at once: a fleet that comes up, or somebody who tries tokens, leaves the
other threads to pushes."""
JOIN_RETRY_SECONDS: Final = 1.0
"""When a host is to come back that was one too many."""


class _CallsInHand:
    """Counts the calls that are worked on; entering yields how many there are with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def __enter__(self) -> int:
        with self._lock:
            self._count += 1
            return self._count

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._count -= 1


class IngestService(ingest_pb2_grpc.IngestServiceServicer):
    """Takes usage from agents. Every call is idempotent; errors are mapped by the interceptor."""

    def __init__(self, *, context: ServiceContext, ingester: UsageIngester) -> None:
        self._context = context
        self._store = context.store
        self._clock = context.clock
        self._ingester = ingester
        self._in_hand = _CallsInHand()
        self._joins_in_hand = _CallsInHand()

    def OpenSession(
        self, request: ingest_pb2.OpenSessionRequest, context: Any
    ) -> ingest_pb2.OpenSessionResponse:
        """Opens a session."""
        opened = open_session(
            self._store,
            clock=self._clock,
            agent=self._agent(context),
            request=session_request_from_proto(request),
        )
        return opened_session_to_proto(opened)

    def PushUsage(
        self, request: ingest_pb2.PushUsageRequest, context: Any
    ) -> ingest_pb2.PushUsageResponse:
        """Applies usage."""
        agent = self._agent(context)
        with self._in_hand as count:
            outcome = self._ingester.push(agent, push=usage_push_from_proto(request))
        return push_outcome_to_proto(outcome, retry_after_ms=retry_after_ms(count))

    def CheckAgent(
        self, request: ingest_pb2.CheckAgentRequest, context: Any
    ) -> ingest_pb2.CheckAgentResponse:
        """Tells whose token it is, and the time."""
        return ingest_pb2.CheckAgentResponse(
            agent_id=self._agent(context).agent_id,
            server_time=timestamp_from_instant(self._clock.now()),
        )

    def JoinFleet(
        self, request: ingest_pb2.JoinFleetRequest, context: Any
    ) -> ingest_pb2.JoinFleetResponse:
        """Enrolls the host that calls by its join token."""
        with self._joins_in_hand as count:
            if count > JOINS_AT_ONCE_MAX:
                raise UnavailableError(
                    reason="JOINS_BUSY",
                    message="many hosts join at once: try again in a moment",
                    retry_after_seconds=JOIN_RETRY_SECONDS,
                )
            agent = join_fleet(
                self._context,
                token=token_from_metadata(context.invocation_metadata()),
                token_sha256=request.token_sha256,
                host_name=request.host_name,
            )
        return ingest_pb2.JoinFleetResponse(agent_id=agent.agent_id, name=agent.name)

    def _agent(self, context: Any) -> Agent:
        token = token_from_metadata(context.invocation_metadata())
        return authenticate_agent(self._store, token=token)


def session_request_from_proto(request: ingest_pb2.OpenSessionRequest) -> SessionRequest:
    """Returns where an agent says that it stands.

    Raises:
        ValidationError: SESSION_REQUEST_MALFORMED or TIMESTAMP_MALFORMED, naming the field.
    """
    return SessionRequest(
        disk_id=request.disk_id,
        nonce=request.nonce,
        sync_no=request.sync_no,
        earliest_kept_seq=request.earliest_kept_seq,
        agent_version=request.agent_version,
        oldest_unshipped_event_time=_oldest_unshipped(request),
        applied_seq=request.applied_seq,
        next_seq=request.next_seq,
        server_incarnation=request.server_incarnation,
        previous_disk_id=request.previous_disk_id,
        has_leases=request.has_leases,
        leases=lease_reports_from_proto(request.leases),
    )


def opened_session_to_proto(opened: OpenedSession) -> ingest_pb2.OpenSessionResponse:
    """Returns the answer to an agent."""
    return ingest_pb2.OpenSessionResponse(
        agent_id=opened.agent_id,
        session_no=opened.session_no,
        server_incarnation=opened.server_incarnation,
        applied_seq=opened.applied_seq,
        # Applied is safe: no replica is configured in this version.
        safe_seq=opened.applied_seq,
        push_event_count_max=PUSH_EVENTS_MAX,
        push_bytes_max=PUSH_BYTES_MAX,
        server_time=timestamp_from_instant(opened.server_time),
        leases=[told_lease_to_proto(each) for each in opened.leases],
        answer_no=opened.answer_no,
    )


def usage_push_from_proto(request: ingest_pb2.PushUsageRequest) -> UsagePush:
    """Returns a push with its blocks, whose events stay bytes.

    Raises:
        ValidationError: BLOCK_MALFORMED or TIMESTAMP_MALFORMED, naming the field.
    """
    blocks = []
    for number, block in enumerate(request.blocks):
        if block.event_count < 1 or not block.HasField("receive_time"):
            raise ValidationError(
                reason="BLOCK_MALFORMED",
                message=f"blocks[{number}]: a block has a receive_time and at least one event",
            )
        receive_time_us = _microseconds(block.receive_time, field=f"blocks[{number}].receive_time")
        blocks.append(
            PushedBlock(
                first_seq=block.first_seq,
                event_count=block.event_count,
                receive_time_us=receive_time_us,
                events=block.events,
            )
        )
    if request.first_seq < 1:
        raise ValidationError(
            reason="POSITION_MALFORMED",
            message=f"first_seq is {request.first_seq}; positions count from 1",
        )
    return UsagePush(
        server_incarnation=request.server_incarnation,
        session_no=request.session_no,
        first_seq=request.first_seq,
        blocks=tuple(blocks),
        oldest_unshipped_event_time=_oldest_unshipped(request),
        disk_id=request.disk_id,
        next_seq=max(request.next_seq, 0),
    )


def push_outcome_to_proto(
    outcome: PushOutcome, *, retry_after_ms: int = 0
) -> ingest_pb2.PushUsageResponse:
    """Returns the answer to an agent, asking it to wait where `retry_after_ms` is above 0."""
    retry_after = Duration()
    retry_after.FromMilliseconds(retry_after_ms)
    return ingest_pb2.PushUsageResponse(
        retry_after=retry_after if retry_after_ms else None,
        result=_RESULTS[outcome.state],
        applied_seq=outcome.applied_seq,
        safe_seq=outcome.applied_seq,
        server_incarnation=outcome.server_incarnation,
        counted=outcome.tally.counted,
        duplicates=outcome.tally.duplicates,
        conflicts=outcome.tally.conflicts,
        quarantined=outcome.tally.quarantined,
    )


def _oldest_unshipped(
    request: ingest_pb2.OpenSessionRequest | ingest_pb2.PushUsageRequest,
) -> datetime | None:
    field = "oldest_unshipped_event_time"
    if not request.HasField("oldest_unshipped_event_time"):
        return None
    return instant_from_microseconds(
        _microseconds(request.oldest_unshipped_event_time, field=field)
    )


def _microseconds(value: Timestamp, *, field: str) -> int:
    if not 0 <= value.seconds <= TIMESTAMP_SECONDS_MAX:
        raise ValidationError(
            reason="TIMESTAMP_MALFORMED",
            message=f"{field}: {value.seconds} seconds lie outside the years 1970 to 9999",
        )
    return value.seconds * MICROSECONDS_PER_SECOND + value.nanos // NANOSECONDS_PER_MICROSECOND
