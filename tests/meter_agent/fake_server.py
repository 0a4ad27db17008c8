"""An ingest server for tests: a real gRPC server that keeps the protocol and fails on demand."""

import enum
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import grpc
from google.protobuf.duration_pb2 import Duration

from metering.api.v1 import ingest_pb2, ingest_pb2_grpc, lease_pb2_grpc
from metering.api.v1.usage_pb2 import UsageEvent
from tests.meter_agent.fake_leases import FakeLeases, LeaseServicer

TOKEN = "agent-secret-token"
SESSION_ANSWER_NO = 7
AGENT_ID = "agent-1"
WAIT_SECONDS = 30.0


class Fault(enum.Enum):
    """What goes wrong with one push."""

    UNAVAILABLE = enum.auto()
    """Refused before anything is applied."""
    ACK_LOST = enum.auto()
    """Applied, and then the answer is lost."""
    FENCED = enum.auto()
    """The session is taken for an old one."""
    RETRY_AFTER = enum.auto()
    """Applied, with the wish to wait 50 ms."""
    UNKNOWN_RESULT = enum.auto()
    """Answered with a result that no agent knows."""


@dataclass
class Books:
    """What the server holds: it survives a restart of the fake."""

    incarnation: str = "incarnation-1"
    session_no: int = 0
    nonce: bytes = b""
    applied_seq: int = 0
    by_seq: dict[int, UsageEvent] = field(default_factory=dict)
    counted: dict[tuple[str, str], UsageEvent] = field(default_factory=dict)
    duplicate_count: int = 0
    losses: list[tuple[int, int]] = field(default_factory=list)


class FakeServer:
    """Plays IngestService on a free loopback port, or again on the port it had."""

    def __init__(
        self,
        *,
        push_event_count_max: int = 5_000,
        safe_lag: int = 0,
        credentials: grpc.ServerCredentials | None = None,
        options: tuple[tuple[str, int], ...] = (),
    ) -> None:
        self.credentials = credentials
        self.options = options
        self.books = Books()
        self.faults: deque[Fault] = deque()
        self.pushes: list[ingest_pb2.PushUsageRequest] = []
        self.sessions: list[ingest_pb2.OpenSessionRequest] = []
        self.refused_ids: set[str] = set()
        """Ids of events for which a push is refused for its content."""
        self.token = TOKEN
        self.clock_ahead = timedelta(0)
        self.push_event_count_max = push_event_count_max
        self.safe_lag = safe_lag
        self.port = 0
        self._condition = threading.Condition()
        self.leases = FakeLeases(self._condition)
        self._server: grpc.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> Self:
        options = (
            *(("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 16 << 20)),
            *self.options,
        )
        server = grpc.server(ThreadPoolExecutor(8), options=options)
        ingest_pb2_grpc.add_IngestServiceServicer_to_server(_Servicer(self), server)
        if not self.leases.is_off:
            lease_pb2_grpc.add_LeaseServiceServicer_to_server(LeaseServicer(self), server)
        if self.credentials is None:
            self.port = server.add_insecure_port(self.address)
        else:
            self.port = server.add_secure_port(self.address, self.credentials)
        server.start()
        self._server = server
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def event_ids(self) -> list[str]:
        """Ids of the events in the order of their positions."""
        with self._condition:
            return [event.event_id for _, event in sorted(self.books.by_seq.items())]

    def wait_for(self, is_met: Callable[[], bool], *, seconds: float = WAIT_SECONDS) -> bool:
        """Waits until a condition over what was received holds."""
        with self._condition:
            return self._condition.wait_for(is_met, seconds)

    def wait_for_event_count(self, count: int) -> bool:
        return self.wait_for(lambda: len(self.books.counted) >= count)

    def open_session(
        self, request: ingest_pb2.OpenSessionRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.OpenSessionResponse:
        self.authenticate(context)
        with self._condition:
            self.sessions.append(request)
            books = self.books
            if request.nonce != books.nonce:
                books.session_no += 1
                books.nonce = request.nonce
            if request.earliest_kept_seq > books.applied_seq + 1:
                books.losses.append((books.applied_seq + 1, request.earliest_kept_seq - 1))
                books.applied_seq = request.earliest_kept_seq - 1
            self._condition.notify_all()
            return ingest_pb2.OpenSessionResponse(
                agent_id=AGENT_ID,
                session_no=books.session_no,
                server_incarnation=books.incarnation,
                applied_seq=books.applied_seq,
                safe_seq=self._safe_seq(),
                push_event_count_max=self.push_event_count_max,
                push_bytes_max=4 << 20,
                leases=self.leases.session_leases(list(request.leases)),
                answer_no=SESSION_ANSWER_NO,
            )

    def push_usage(
        self, request: ingest_pb2.PushUsageRequest, context: grpc.ServicerContext
    ) -> ingest_pb2.PushUsageResponse:
        self.authenticate(context)
        with self._condition:
            fault = self.faults.popleft() if self.faults else None
            if fault is Fault.UNAVAILABLE:
                context.abort(grpc.StatusCode.UNAVAILABLE, "on demand")
            self.pushes.append(request)
            self._refuse_content(request, context)
            response = self._apply(request, fault)
            self._condition.notify_all()
            if fault is Fault.ACK_LOST:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost")
            return response

    def check_agent(self, context: grpc.ServicerContext) -> ingest_pb2.CheckAgentResponse:
        self.authenticate(context)
        answer = ingest_pb2.CheckAgentResponse(agent_id=AGENT_ID)
        answer.server_time.FromDatetime(datetime.now(UTC) + self.clock_ahead)
        return answer

    def _refuse_content(
        self, request: ingest_pb2.PushUsageRequest, context: grpc.ServicerContext
    ) -> None:
        for block in request.blocks:
            for event in ingest_pb2.UsageEvents.FromString(block.events).events:
                if event.event_id in self.refused_ids:
                    self._condition.notify_all()
                    context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{event.event_id} is bad")

    def _apply(
        self, request: ingest_pb2.PushUsageRequest, fault: Fault | None
    ) -> ingest_pb2.PushUsageResponse:
        books = self.books
        response = ingest_pb2.PushUsageResponse(server_incarnation=books.incarnation)
        current = (books.incarnation, books.session_no)
        if fault is Fault.UNKNOWN_RESULT:
            response.result = 99
        elif fault is Fault.FENCED or current != (request.server_incarnation, request.session_no):
            response.result = ingest_pb2.PUSH_RESULT_FENCED
        elif request.first_seq > books.applied_seq + 1:
            response.result = ingest_pb2.PUSH_RESULT_GAP
        else:
            response.result = ingest_pb2.PUSH_RESULT_APPLIED
            self._count(request, response)
            if fault is Fault.RETRY_AFTER:
                response.retry_after.CopyFrom(Duration(nanos=50_000_000))
        response.applied_seq = books.applied_seq
        response.safe_seq = self._safe_seq()
        return response

    def _count(
        self, request: ingest_pb2.PushUsageRequest, response: ingest_pb2.PushUsageResponse
    ) -> None:
        seq = request.first_seq
        for block in request.blocks:
            assert block.first_seq == seq, "blocks leave a hole"
            events = ingest_pb2.UsageEvents.FromString(block.events).events
            assert len(events) == block.event_count, "a block's count is not its content's"
            for event in events:
                key = (event.event_id, event.customer_id)
                if key in self.books.counted:
                    self.books.duplicate_count += 1
                    response.duplicates += 1
                else:
                    self.books.counted[key] = event
                    self.books.by_seq[seq] = event
                    self.leases.settle(event)
                    response.counted += 1
                seq += 1
        self.books.applied_seq = max(self.books.applied_seq, seq - 1)

    def _safe_seq(self) -> int:
        return max(0, self.books.applied_seq - self.safe_lag)

    def authenticate(self, context: grpc.ServicerContext) -> None:
        given = dict(context.invocation_metadata()).get("authorization")
        if given != f"Bearer {self.token}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "unknown token")


class _Servicer(ingest_pb2_grpc.IngestServiceServicer):
    def __init__(self, fake: FakeServer) -> None:
        self._fake = fake

    def OpenSession(self, request: Any, context: Any) -> Any:
        return self._fake.open_session(request, context)

    def CheckAgent(self, request: Any, context: Any) -> Any:
        return self._fake.check_agent(context)

    def PushUsage(self, request: Any, context: Any) -> Any:
        return self._fake.push_usage(request, context)
