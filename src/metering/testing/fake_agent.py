"""An agent for tests: a real gRPC server that keeps what it receives and fails on demand."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent import futures
from decimal import Decimal
from types import TracebackType
from typing import Self, TypeVar

import grpc

from metering.api.v1 import agent_pb2_grpc
from metering.api.v1.agent_pb2 import (
    CheckQuotaRequest,
    CheckQuotaResponse,
    ExtendReservationRequest,
    ExtendReservationResponse,
    GetAgentStatusRequest,
    GetAgentStatusResponse,
    RecordUsageRequest,
    RecordUsageResponse,
    ReleaseReservationRequest,
    ReleaseReservationResponse,
    ReserveQuotaRequest,
    ReserveQuotaResponse,
    SettleReservationRequest,
    SettleReservationResponse,
)
from metering.api.v1.usage_pb2 import RejectedEvent, UsageEvent
from metering.errors import MeteringError
from metering.testing.fake_quota import DenialRule, EndRequest, FakeQuota, FakeReservation
from metering.testing.status_details import DETAILS_KEY, details_of_reason

Response = TypeVar("Response")

AGENT_ID = "fake-agent"
WORKER_COUNT = 8
REQUEST_BYTES_MAX = 4 * 1024 * 1024

EventKey = tuple[str, str]
"""What identifies an event: (customer id, event id)."""

RejectionRule = Callable[[UsageEvent], tuple[str, str] | None]
"""Returns (reason, message) for an event to reject, None for one to accept."""


class FakeAgent:
    """A real gRPC server on a free port that records usage and holds quota in memory.

    Example:
        >>> with FakeAgent() as agent, Meter(agent.address) as meter:
        ...     meter.record(customer="acme", quantities={"requests": 1})
        ...     assert agent.wait_for_event_count(1)

    Args:
        address: Where to listen, `HOST:PORT` or `unix:PATH`; port 0 takes a free one.
    """

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        self._wanted_address = address
        self._server: grpc.Server | None = None
        self._condition = threading.Condition()
        self._requests: list[RecordUsageRequest] = []
        self._events: list[UsageEvent] = []
        self._failures: deque[tuple[grpc.StatusCode, str]] = deque()
        self._lasting_failure: tuple[grpc.StatusCode, str] | None = None
        self._delay_seconds = 0.0
        self._is_started = False
        self._request_rule: Callable[[RecordUsageRequest], grpc.StatusCode | None] | None = None
        self._rejection_rule: RejectionRule | None = None
        self._lost_answer_count = 0
        self._quota = FakeQuota()

    def start(self) -> Self:
        """Starts to listen; at the same address again after `stop`."""
        server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=WORKER_COUNT),
            options=(("grpc.max_receive_message_length", REQUEST_BYTES_MAX),),
        )
        agent_pb2_grpc.add_AgentServiceServicer_to_server(  # type: ignore[no-untyped-call]
            _Servicer(self), server
        )
        port = server.add_insecure_port(self._wanted_address)
        if not self._wanted_address.startswith("unix:"):
            host = self._wanted_address.rpartition(":")[0]
            self._wanted_address = f"{host}:{port}"
        self._is_started = True
        server.start()
        self._server = server
        return self

    def stop(self) -> None:
        """Goes away at once, as an agent that was killed; what was received is kept."""
        with self._condition:
            self._is_started = False
            self._condition.notify_all()
        if self._server is not None:
            self._server.stop(grace=None).wait()
            self._server = None

    @property
    def address(self) -> str:
        """Where it listens, as a meter takes it; known once started."""
        return self._wanted_address

    @property
    def requests(self) -> list[RecordUsageRequest]:
        """Every request that arrived, also those that were failed."""
        with self._condition:
            return list(self._requests)

    @property
    def events(self) -> list[UsageEvent]:
        """Every event that was accepted, in order, duplicates included."""
        with self._condition:
            return list(self._events)

    @property
    def counted_events(self) -> dict[EventKey, UsageEvent]:
        """The events as a server would count them: each (customer, event id) once."""
        counted: dict[EventKey, UsageEvent] = {}
        for event in self.events:
            counted.setdefault((event.customer_id, event.event_id), event)
        return counted

    def fail_next(
        self,
        count: int,
        *,
        code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE,
        message: str = "told to fail",
    ) -> None:
        """Fails the next `count` requests before it keeps anything of them."""
        with self._condition:
            self._failures.extend([(code, message)] * count)

    def fail_always(
        self, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE, *, message: str = "told to fail"
    ) -> None:
        """Fails every request until `recover`."""
        with self._condition:
            self._lasting_failure = (code, message)

    def fail_where(self, rule: Callable[[RecordUsageRequest], grpc.StatusCode | None]) -> None:
        """Fails, as a whole, the requests for which the rule returns a code."""
        with self._condition:
            self._request_rule = rule

    def lose_answers(self, count: int) -> None:
        """Keeps the events of the next `count` requests, and answers UNAVAILABLE all the same."""
        with self._condition:
            self._lost_answer_count = count

    def reject_where(self, rule: RejectionRule) -> None:
        """Rejects the events for which the rule returns (reason, message)."""
        with self._condition:
            self._rejection_rule = rule

    def delay(self, seconds: float) -> None:
        """Waits before each answer, in seconds (>= 0), or until it is told otherwise or stopped."""
        with self._condition:
            self._delay_seconds = seconds
            self._condition.notify_all()

    @property
    def reservations(self) -> dict[str, FakeReservation]:
        """Every reservation that was granted, by its id, ended ones too."""
        with self._condition:
            return dict(self._quota.reservations)

    def limit(
        self, customer: str, quantity: str, maximum: Decimal | int, *, key: str = "limit"
    ) -> None:
        """Sets what a customer may use of a quantity in all; without one everything is granted.

        Args:
            customer: Whose.
            quantity: Name of the quantity.
            maximum: In the quantity's unit, >= 0.
            key: Key of the limit, as a denial names it.
        """
        with self._condition:
            self._quota.limit(customer, quantity, Decimal(maximum), key=key)

    def deny_where(self, rule: DenialRule) -> None:
        """Denies the reservations for which the rule returns a denial."""
        with self._condition:
            self._quota.deny_where(rule)

    def wait_for_reservation(
        self, is_met: Callable[[dict[str, FakeReservation]], bool], *, timeout: float = 10.0
    ) -> bool:
        """Waits until a condition over the reservations holds; False on time-out (seconds)."""
        with self._condition:
            return self._condition.wait_for(lambda: is_met(self._quota.reservations), timeout)

    def recover(self) -> None:
        """Takes back every fault that it was told, and answers as it should; limits stand."""
        with self._condition:
            self._quota.deny_where(None)
            self._failures.clear()
            self._lasting_failure = None
            self._request_rule = None
            self._rejection_rule = None
            self._delay_seconds = 0.0
            self._lost_answer_count = 0
            self._condition.notify_all()

    def wait_for_event_count(self, count: int, *, timeout: float = 10.0) -> bool:
        """Waits until `count` different events were accepted; False on time-out (seconds)."""
        with self._condition:
            return self._condition.wait_for(lambda: self._counted() >= count, timeout)

    def wait_for_request_count(self, count: int, *, timeout: float = 10.0) -> bool:
        """Waits until `count` requests arrived; False on time-out (seconds)."""
        with self._condition:
            return self._condition.wait_for(lambda: len(self._requests) >= count, timeout)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _counted(self) -> int:
        return len({(event.customer_id, event.event_id) for event in self._events})

    def _receive(
        self, request: RecordUsageRequest
    ) -> RecordUsageResponse | tuple[grpc.StatusCode, str]:
        """Answers a request, or says with which status it is to be failed."""
        with self._condition:
            self._take_its_time()
            self._requests.append(request)
            self._condition.notify_all()
            failure = self._failure_for(request)
            if failure is not None:
                return failure
            response = RecordUsageResponse(agent_id=AGENT_ID)
            for index, event in enumerate(request.events):
                rejection = self._rejection_rule(event) if self._rejection_rule else None
                if rejection is None:
                    self._events.append(event)
                    response.accepted_count += 1
                else:
                    rejected = RejectedEvent(
                        index=index,
                        event_id=event.event_id,
                        reason=rejection[0],
                        message=rejection[1],
                    )
                    response.rejected.append(rejected)
            if self._lost_answer_count:
                self._lost_answer_count -= 1
                return grpc.StatusCode.UNAVAILABLE, "the answer was lost"
            return response

    def _take_its_time(self) -> None:
        """Waits as it was told to; the condition is held, and given free meanwhile."""
        delay = self._delay_seconds
        if delay:
            self._condition.wait_for(
                lambda: self._delay_seconds != delay or not self._is_started, delay
            )

    def _answer_quota(
        self, answer: Callable[[FakeQuota], Response]
    ) -> Response | tuple[grpc.StatusCode, str] | MeteringError:
        """Answers a call for quota, or says how it is to be failed."""
        with self._condition:
            self._take_its_time()
            failure = self._told_failure()
            if failure is not None:
                return failure
            try:
                response = answer(self._quota)
            except MeteringError as error:
                return error
            self._condition.notify_all()
            if self._lost_answer_count:
                self._lost_answer_count -= 1
                return grpc.StatusCode.UNAVAILABLE, "the answer was lost"
            return response

    def _end(self, request: EndRequest) -> str:
        """Ends a reservation; returns the id of the event that it recorded, "" for none."""
        event = self._quota.end(request)
        if event is not None:
            self._events.append(event)
        known = self._quota.reservations[request.reservation_id].event
        return "" if known is None else known.event_id

    def _told_failure(self) -> tuple[grpc.StatusCode, str] | None:
        if not self._is_started:
            return grpc.StatusCode.UNAVAILABLE, "stopped"
        return self._failures.popleft() if self._failures else self._lasting_failure

    def _failure_for(self, request: RecordUsageRequest) -> tuple[grpc.StatusCode, str] | None:
        failure = self._told_failure()
        if failure is not None:
            return failure
        code = self._request_rule(request) if self._request_rule else None
        return (code, "told to fail") if code is not None else None


class _Servicer(agent_pb2_grpc.AgentServiceServicer):
    """Passes calls on to the fake; methods that it does not have answer UNIMPLEMENTED."""

    def __init__(self, agent: FakeAgent) -> None:
        self._agent = agent

    def RecordUsage(
        self, request: RecordUsageRequest, context: grpc.ServicerContext
    ) -> RecordUsageResponse:
        answer = self._agent._receive(request)
        if isinstance(answer, tuple):
            context.abort(*answer)
        return answer

    def CheckQuota(
        self, request: CheckQuotaRequest, context: grpc.ServicerContext
    ) -> CheckQuotaResponse:
        return self._quota(context, lambda quota: quota.check(request))

    def ReserveQuota(
        self, request: ReserveQuotaRequest, context: grpc.ServicerContext
    ) -> ReserveQuotaResponse:
        return self._quota(context, lambda quota: quota.reserve(request))

    def ExtendReservation(
        self, request: ExtendReservationRequest, context: grpc.ServicerContext
    ) -> ExtendReservationResponse:
        return self._quota(context, lambda quota: quota.extend(request))

    def SettleReservation(
        self, request: SettleReservationRequest, context: grpc.ServicerContext
    ) -> SettleReservationResponse:
        return self._quota(
            context, lambda _: SettleReservationResponse(event_id=self._agent._end(request))
        )

    def ReleaseReservation(
        self, request: ReleaseReservationRequest, context: grpc.ServicerContext
    ) -> ReleaseReservationResponse:
        return self._quota(
            context, lambda _: ReleaseReservationResponse(event_id=self._agent._end(request))
        )

    def _quota(
        self, context: grpc.ServicerContext, answer: Callable[[FakeQuota], Response]
    ) -> Response:
        found = self._agent._answer_quota(answer)
        if isinstance(found, MeteringError):
            code = getattr(grpc.StatusCode, found.kind.grpc_status)
            context.set_trailing_metadata(((DETAILS_KEY, details_of_reason(found.reason)),))
            context.abort(code, found.message)
        if isinstance(found, tuple):
            context.abort(*found)
        return found

    def GetAgentStatus(
        self, request: GetAgentStatusRequest, context: grpc.ServicerContext
    ) -> GetAgentStatusResponse:
        return GetAgentStatusResponse(
            agent_id=AGENT_ID, accepted_count=len(self._agent.events), version="fake"
        )
