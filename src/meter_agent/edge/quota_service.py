"""The calls for quota of the agent's gRPC service."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Final

import grpc

from meter_agent.core.quota.reservation import Reservation
from meter_agent.edge import quota_answers as answers
from meter_agent.edge import quota_requests as requests
from meter_agent.edge.call_counters import CallCounters
from meter_agent.edge.callers import caller_of
from meter_agent.quota.desk import QuotaDesk
from metering.api.v1 import agent_pb2, agent_pb2_grpc
from metering.errors import MeteringError, ValidationError

CALL_SECONDS_MAX: Final = 120.0
"""How long a call without a deadline waits for a disk that does not answer."""
PAGE_SIZE_DEFAULT: Final = 100
PAGE_SIZE_MAX: Final = 1_000

Unsettled = Callable[[str, int], Sequence[Reservation]]
"""Returns unsettled reservations after an id in the order of ids, at most so many."""


Method = Callable[[Any, Any, grpc.ServicerContext], Any]


def _counted(method: Method) -> Method:
    """Counts, by its reason, what a method refuses as a whole."""

    @wraps(method)
    def call(self: "QuotaService", request: object, context: grpc.ServicerContext) -> object:
        try:
            return method(self, request, context)
        except MeteringError as error:
            self.counters.refused(error.reason)
            raise

    return call


class QuotaService(agent_pb2_grpc.AgentServiceServicer):
    """Answers for quota. A denial is an answer, not an error.

    Args:
        desk: Decides.
        unsettled: Lists reservations that nobody ended.
    """

    def __init__(self, desk: QuotaDesk, *, unsettled: Unsettled) -> None:
        self._desk = desk
        self._unsettled = unsettled
        self.counters: Final = CallCounters()

    @_counted
    def ReserveQuota(  # noqa: D102 - the name and the meaning stand in the contract
        self, request: agent_pb2.ReserveQuotaRequest, context: grpc.ServicerContext
    ) -> agent_pb2.ReserveQuotaResponse:
        clock = self._desk.counter.book.clock
        asked = requests.reserve_from_proto(
            request, caller=caller_of(context), now_us=clock.wall_us()
        )
        answer = self._desk.reserve(asked, timeout_seconds=_seconds(context))
        return answers.reserve_to_proto(answer, clock=clock)

    @_counted
    def ExtendReservation(  # noqa: D102 - the name and the meaning stand in the contract
        self, request: agent_pb2.ExtendReservationRequest, context: grpc.ServicerContext
    ) -> agent_pb2.ExtendReservationResponse:
        clock = self._desk.counter.book.clock
        asked = requests.extend_from_proto(request, now_us=clock.wall_us())
        answer = self._desk.extend(asked, timeout_seconds=_seconds(context))
        return answers.extend_to_proto(answer, clock=clock)

    @_counted
    def SettleReservation(  # noqa: D102 - the name and the meaning stand in the contract
        self, request: agent_pb2.SettleReservationRequest, context: grpc.ServicerContext
    ) -> agent_pb2.SettleReservationResponse:
        now_us = self._desk.counter.book.clock.wall_us()
        asked = requests.settle_from_proto(request, now_us=now_us)
        ended = self._desk.end(
            asked,
            receive_time_us=now_us,
            caller=caller_of(context),
            timeout_seconds=_seconds(context),
        )
        return answers.settle_to_proto(ended)

    @_counted
    def ReleaseReservation(  # noqa: D102 - the name and the meaning stand in the contract
        self, request: agent_pb2.ReleaseReservationRequest, context: grpc.ServicerContext
    ) -> agent_pb2.ReleaseReservationResponse:
        now_us = self._desk.counter.book.clock.wall_us()
        asked = requests.release_from_proto(request, now_us=now_us)
        ended = self._desk.end(
            asked,
            receive_time_us=now_us,
            caller=caller_of(context),
            timeout_seconds=_seconds(context),
        )
        return answers.release_to_proto(ended)

    @_counted
    def CheckQuota(  # noqa: D102 - the name and the meaning stand in the contract
        self, request: agent_pb2.CheckQuotaRequest, context: grpc.ServicerContext
    ) -> agent_pb2.CheckQuotaResponse:
        book = self._desk.counter.book
        asked = requests.check_from_proto(request, now_us=book.clock.wall_us())
        decision = self._desk.check(asked, timeout_seconds=_seconds(context))
        terms = book.terms_of(asked.customer_id)
        limits = {} if terms is None else {limit.limit_key: limit for limit in terms.limits}
        return answers.check_to_proto(decision, limits=limits, clock=book.clock)

    @_counted
    def ListUnsettledReservations(  # noqa: D102 - the name and the meaning stand in the contract
        self, request: agent_pb2.ListUnsettledReservationsRequest, context: grpc.ServicerContext
    ) -> agent_pb2.ListUnsettledReservationsResponse:
        size = request.page_size or PAGE_SIZE_DEFAULT
        if not 1 <= size <= PAGE_SIZE_MAX:
            raise ValidationError(
                reason="PAGE_SIZE_OUT_OF_RANGE",
                message=f"page_size is {size}; give 1 to {PAGE_SIZE_MAX}, or leave it unset",
            )
        found = self._unsettled(request.page_token, size + 1)
        clock = self._desk.counter.book.clock
        page = found[:size]
        return agent_pb2.ListUnsettledReservationsResponse(
            reservations=[answers.unsettled_to_proto(item, clock=clock) for item in page],
            next_page_token=page[-1].reservation_id if len(found) > size else "",
        )


def _seconds(context: grpc.ServicerContext) -> float:
    """Returns the seconds until the caller's deadline, which may be without end."""
    remaining = context.time_remaining()
    return CALL_SECONDS_MAX if remaining is None else min(remaining, CALL_SECONDS_MAX)
