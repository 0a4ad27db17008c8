"""The wire to the agent: one gRPC channel, one unary call, failures sorted by what they ask for."""

import os
import re
import sys
from pathlib import PurePath
from typing import Protocol, TypeAlias, cast

import grpc

from metering.api.v1.agent_pb2 import RecordUsageResponse
from metering.client.delivery import Failure, FailureKind, Rejection
from metering.client.event import Refusal

RECORD_USAGE_METHOD = "/metering.api.v1.AgentService/RecordUsage"

CLIENT_METADATA_KEY = "x-meter-client"
SERVICE_NAME_CHARACTERS_MAX = 64
_NOT_IN_A_NAME = re.compile(r"[^!-.0-~]")

CHANNEL_OPTIONS = (
    # An agent that comes back is found within a second, however long it was away.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A host that is busy takes its time to shake hands; one that listens to nobody says so at once.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    # The agent is on this host: a proxy of the environment must not come between.
    ("grpc.enable_http_proxy", 0),
    # Retries are the sender's, with the same ids and a counted number.
    ("grpc.enable_retries", 0),
    # A child of a fork must not share its parent's connection.
    ("grpc.use_local_subchannel_pool", 1),
)

REFUSED_CODES = frozenset({"INVALID_ARGUMENT", "OUT_OF_RANGE", "ALREADY_EXISTS"})
"""The request itself is at fault."""

INTERNAL_CODES = frozenset({"INTERNAL", "UNKNOWN", "DATA_LOSS"})
"""The agent failed; perhaps because of one event of the request."""

MESSAGE_TOO_LARGE = "larger than max"
"""What gRPC says, with RESOURCE_EXHAUSTED, where a message passes the receiver's bound."""


class TransportError(Exception):
    """A request that was not answered with OK."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.code}: {failure.message}")
        self.failure = failure


class Transport(Protocol):
    """Carries serialized requests to an agent."""

    def record_usage(self, request: bytes, *, timeout_seconds: float) -> tuple[Rejection, ...]:
        """Sends a serialized RecordUsageRequest; returns the events that were refused.

        Raises:
            TransportError: The request was not answered with OK.
        """
        ...

    def close(self) -> None:
        """Ends the connection; a request in flight fails."""
        ...


_RecordUsage: TypeAlias = "grpc.UnaryUnaryMultiCallable[bytes, RecordUsageResponse]"


class GrpcTransport:
    """Carries requests over gRPC. The channel connects when it is first used, and again later."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        # Requests are joined from frames that were serialized once: bytes pass as they are.
        call: _RecordUsage = self._channel.unary_unary(
            RECORD_USAGE_METHOD,
            request_serializer=None,
            response_deserializer=RecordUsageResponse.FromString,
        )
        self._call = call

    def record_usage(self, request: bytes, *, timeout_seconds: float) -> tuple[Rejection, ...]:
        """Sends a serialized RecordUsageRequest; returns the events that were refused."""
        try:
            response = self._call(request, timeout=timeout_seconds, metadata=client_metadata())
        except grpc.RpcError as error:
            raise TransportError(failure_from_rpc_error(error)) from error
        except ValueError as error:
            # The channel was closed by another thread while the meter ends.
            failure = Failure(kind=FailureKind.TRANSIENT, code="CANCELLED", message=str(error))
            raise TransportError(failure) from error
        return tuple(
            Rejection(
                index=rejected.index,
                refusal=Refusal(reason=rejected.reason, message=rejected.message),
            )
            for rejected in response.rejected
        )

    def close(self) -> None:
        """Ends the connection; a request in flight fails with CANCELLED."""
        self._channel.close()


def client_metadata() -> tuple[tuple[str, str], ...]:
    """Returns what names this process to the agent: `SERVICE/PID`.

    The agent divides the end of its disk budget fairly between services; the name does nothing
    else. It is METER_SERVICE_NAME, else OTEL_SERVICE_NAME, else the name of the program.
    """
    program = (
        os.environ.get("METER_SERVICE_NAME")
        or os.environ.get("OTEL_SERVICE_NAME")
        or PurePath(sys.argv[0] if sys.argv else "").name
    )
    name = _NOT_IN_A_NAME.sub("-", program)[:SERVICE_NAME_CHARACTERS_MAX] or "python"
    return ((CLIENT_METADATA_KEY, f"{name}/{os.getpid()}"),)


def failure_from_rpc_error(error: grpc.RpcError) -> Failure:
    """Sorts a failed call by what it asks for."""
    # What a blocking call raises is also the call itself, which the library does not declare.
    call = cast("grpc.Call", error)
    code, message = call.code().name, call.details() or ""
    return Failure(kind=failure_kind(code, message=message), code=code, message=message)


def failure_kind(code: str, *, message: str) -> FailureKind:
    """Returns what a status asks for.

    Wrong credentials, a missing method and the like are transient here: the events are in order,
    so they wait, loudly, for the operator to put it right.
    """
    if code in REFUSED_CODES:
        return FailureKind.REFUSED
    if code == "RESOURCE_EXHAUSTED" and MESSAGE_TOO_LARGE in message:
        return FailureKind.REFUSED
    if code in INTERNAL_CODES:
        return FailureKind.INTERNAL
    return FailureKind.TRANSIENT
