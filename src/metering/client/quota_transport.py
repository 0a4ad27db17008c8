"""The wire for quota: one channel, four unary calls, failures as errors with their reasons."""

from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias, cast

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from metering.api.v1 import agent_pb2
from metering.client.transport import CHANNEL_OPTIONS, client_metadata
from metering.errors import ERROR_TYPES, ErrorKind, MeteringError, UnavailableError

QuotaRequest: TypeAlias = (
    agent_pb2.ReserveQuotaRequest
    | agent_pb2.ExtendReservationRequest
    | agent_pb2.SettleReservationRequest
    | agent_pb2.ReleaseReservationRequest
)
QuotaResponse: TypeAlias = (
    agent_pb2.ReserveQuotaResponse
    | agent_pb2.ExtendReservationResponse
    | agent_pb2.SettleReservationResponse
    | agent_pb2.ReleaseReservationResponse
)

_Call: TypeAlias = "grpc.UnaryUnaryMultiCallable[QuotaRequest, QuotaResponse]"

_SERVICE = "/metering.api.v1.AgentService/"
_METHODS: tuple[tuple[type[QuotaRequest], str, type[QuotaResponse]], ...] = (
    (agent_pb2.ReserveQuotaRequest, "ReserveQuota", agent_pb2.ReserveQuotaResponse),
    (agent_pb2.ExtendReservationRequest, "ExtendReservation", agent_pb2.ExtendReservationResponse),
    (agent_pb2.SettleReservationRequest, "SettleReservation", agent_pb2.SettleReservationResponse),
    (
        agent_pb2.ReleaseReservationRequest,
        "ReleaseReservation",
        agent_pb2.ReleaseReservationResponse,
    ),
)
_AWAY_CODES = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNIMPLEMENTED"})
"""Nobody answered, or an agent that is older than quota."""
_KINDS = {kind.grpc_status: kind for kind in ErrorKind}
_DETAILS_KEY = "grpc-status-details-bin"
_DETAILS_FIELD = 3
_ANY_TYPE_FIELD, _ANY_VALUE_FIELD = 1, 2
_REASON_FIELD = 1


class AgentAwayError(UnavailableError):
    """No agent answered in time; the call may have arrived all the same."""


class QuotaCall(Protocol):
    """A call that was begun."""

    def result(self) -> QuotaResponse:
        """Waits for the answer.

        Raises:
            AgentAwayError: There was none.
            MeteringError: The agent refused the request.
        """
        ...

    def cancel(self) -> None:
        """Gives the call up."""
        ...

    def when_done(self, call: "DoneCall") -> None:
        """Calls back, from any thread, once there is an answer or none will come."""
        ...


class DoneCall(Protocol):
    """What is called back."""

    def __call__(self) -> None:
        """Says that the call is over."""
        ...


class QuotaTransport(Protocol):
    """Carries quota requests to an agent."""

    def call(self, request: QuotaRequest, *, timeout_seconds: float) -> QuotaResponse:
        """Sends a request and waits for the answer.

        Raises:
            AgentAwayError: There was none.
            MeteringError: The agent refused the request.
        """
        ...

    def begin(self, request: QuotaRequest, *, timeout_seconds: float) -> QuotaCall:
        """Sends a request.

        Raises:
            AgentAwayError: The connection was ended.
        """
        ...

    def close(self) -> None:
        """Ends the connection; calls in flight fail."""
        ...


class GrpcQuotaTransport:
    """Carries requests over gRPC. The channel connects when it is first used, and again later."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        calls: dict[type[QuotaRequest], Any] = {
            request_type: self._channel.unary_unary(
                _SERVICE + name,
                request_serializer=request_type.SerializeToString,
                response_deserializer=response_type.FromString,
            )
            for request_type, name, response_type in _METHODS
        }
        self._calls: dict[type[QuotaRequest], _Call] = calls

    def call(self, request: QuotaRequest, *, timeout_seconds: float) -> QuotaResponse:
        """Sends a request and waits; a thread less is woken than by `begin`."""
        try:
            return self._calls[type(request)](
                request, timeout=timeout_seconds, metadata=client_metadata()
            )
        except grpc.RpcError as error:
            raise error_from_call(cast("grpc.Call", error)) from None
        except ValueError as error:
            raise AgentAwayError(reason="METER_CLOSED", message=str(error)) from error

    def begin(self, request: QuotaRequest, *, timeout_seconds: float) -> QuotaCall:
        """Sends a request."""
        try:
            future = self._calls[type(request)].future(
                request, timeout=timeout_seconds, metadata=client_metadata()
            )
        except ValueError as error:
            raise AgentAwayError(reason="METER_CLOSED", message=str(error)) from error
        return _GrpcCall(future)

    def close(self) -> None:
        """Ends the connection; calls in flight fail with CANCELLED."""
        self._channel.close()


class _GrpcCall:
    __slots__ = ("_future",)

    def __init__(self, future: "grpc.Future[QuotaResponse]") -> None:
        self._future = future

    def result(self) -> QuotaResponse:
        try:
            return self._future.result()
        except grpc.RpcError as error:
            raise error_from_call(cast("grpc.Call", error)) from None
        except grpc.FutureCancelledError:
            raise AgentAwayError(reason="RPC_CANCELLED", message="the call was given up") from None

    def cancel(self) -> None:
        self._future.cancel()

    def when_done(self, call: DoneCall) -> None:
        self._future.add_done_callback(lambda _: call())


def error_from_call(call: grpc.Call) -> MeteringError:
    """Returns the error of a failed call, with the reason that the agent gave."""
    code, message = call.code().name, call.details() or ""
    if code in _AWAY_CODES:
        return AgentAwayError(reason=f"RPC_{code}", message=message)
    kind = _KINDS.get(code, ErrorKind.INVARIANT)
    reason = reason_from_details(_status_details(call)) or f"RPC_{code}"
    return ERROR_TYPES[kind](reason=reason, message=message)


def reason_from_details(status: bytes) -> str:
    """Returns the reason inside a serialized google.rpc.Status; empty where there is none.

    Read field by field: the messages of google.rpc are in a package that the SDK does not need.
    """
    try:
        for packed in _submessages(status, _DETAILS_FIELD):
            types = list(_submessages(packed, _ANY_TYPE_FIELD))
            if types and types[0].endswith(b"google.rpc.ErrorInfo"):
                for value in _submessages(packed, _ANY_VALUE_FIELD):
                    for reason in _submessages(value, _REASON_FIELD):
                        return reason.decode()
    except (DecodeError, UnicodeDecodeError):
        return ""
    return ""


def _submessages(message: bytes, number: int) -> Iterator[bytes]:
    # The library does not declare that it can be walked.
    fields: Any = UnknownFieldSet(Empty.FromString(message))
    for field in fields:
        if field.field_number == number and isinstance(field.data, bytes):
            yield field.data


def _status_details(call: grpc.Call) -> bytes:
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            return value
    return b""
