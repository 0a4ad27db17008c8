"""Calls to the server's IngestService and LeaseService, with errors that say what to do."""

from dataclasses import dataclass
from typing import Any, Final

import grpc

from metering.api.v1 import ingest_pb2, ingest_pb2_grpc, lease_pb2, lease_pb2_grpc
from metering.errors import ErrorKind
from metering.rpc import bearer_metadata, error_from_rpc

CALL_SECONDS: Final = 30.0
"""Deadline of one call; a server that is alive answers in a fraction of it."""
SYNC_SECONDS: Final = 20.0
"""Deadline of a sync of leases: the server answers one without news after 10 s."""
CONNECT_SECONDS: Final = 5
"""Bound of one try to connect."""
KEEPALIVE_SECONDS: Final = 30
"""An idle connection is pinged this often."""
_MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024

_UNANSWERED_CODES: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)
_BUSY_CODES: Final = (grpc.StatusCode.ABORTED, grpc.StatusCode.RESOURCE_EXHAUSTED)
_CHANNEL_OPTIONS: Final = (
    ("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", _MESSAGE_BYTES_MAX),
    # The shipper's own back-off decides when to try again, so each channel is fresh. The library
    # itself repeats only calls that no server has seen, as when a connection's age has run out.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.service_config_disable_resolution", 1),
    # An address that swallows connections is given up after this, not after the default of 20 s.
    ("grpc.min_reconnect_backoff_ms", CONNECT_SECONDS * 1_000),
    # Below the idle times of usual address translators and balancers, of which few are under 60 s.
    ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)


@dataclass(eq=False)
class UplinkError(Exception):
    """A call to the server failed; it will be tried again."""

    message: str
    """What is wrong and what to do; holds no secret."""
    is_answered: bool = False
    """Whether a server answered at all."""
    is_refused: bool = False
    """Whether the agent's token was refused or missing: a person must act."""
    is_unreachable: bool = False
    """Whether no connection came about, or it broke."""
    retry_after_seconds: float | None = None
    """What the server asked for, seconds; None where it did not."""
    is_given_up: bool = False
    """Whether this agent closed the channel under the call: it says nothing of the server."""
    is_busy: bool = False
    """Whether the server answered that the same call may well succeed soon."""
    is_content_refused: bool = False
    """Whether the same request would be refused for ever."""
    reason: str = ""
    """Reason of the server, `UPPER_SNAKE`; empty where it gave none."""

    def __str__(self) -> str:
        return self.message


class IdentityTakenError(UplinkError):
    """The server knows this disk id from elsewhere: the disk was rolled back or copied."""


def open_channel(target: str, *, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    """Opens a channel as the agent has it; no credentials: plain text."""
    if credentials is None:
        return grpc.insecure_channel(target, options=_CHANNEL_OPTIONS)
    return grpc.secure_channel(target, credentials, options=_CHANNEL_OPTIONS)


class IngestClient:
    """One channel to the server.

    Args:
        target: HOST:PORT, or unix:/path.
        token: Bearer token.
        credentials: Of TLS; None: plain text.
        call_seconds: Deadline of one call, seconds, > 0.
    """

    def __init__(
        self,
        target: str,
        *,
        token: str,
        credentials: grpc.ChannelCredentials | None = None,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self.token: Final = token
        self.has_answered = False
        self._is_closed = False
        self._target = target
        self._call_seconds = call_seconds
        self._channel = open_channel(target, credentials=credentials)
        self._stub = ingest_pb2_grpc.IngestServiceStub(  # type: ignore[no-untyped-call]
            self._channel
        )
        self._leases: Any = lease_pb2_grpc.LeaseServiceStub(  # type: ignore[no-untyped-call]
            self._channel
        )
        self._metadata = bearer_metadata(token)

    def open_session(
        self, request: ingest_pb2.OpenSessionRequest
    ) -> ingest_pb2.OpenSessionResponse:
        """Opens a session.

        Raises:
            IdentityTakenError: The disk needs another id.
            UplinkError: It failed.
        """
        try:
            response: ingest_pb2.OpenSessionResponse = self._stub.OpenSession(
                request, metadata=self._metadata, timeout=self._call_seconds
            )
        except grpc.RpcError as error:
            raise self._uplink_error(error) from None
        self.has_answered = True
        return response

    def join_fleet(self, request: ingest_pb2.JoinFleetRequest) -> ingest_pb2.JoinFleetResponse:
        """Enrolls this host; the channel's token is a join token.

        Raises:
            UplinkError: It failed.
        """
        try:
            response: ingest_pb2.JoinFleetResponse = self._stub.JoinFleet(
                request, metadata=self._metadata, timeout=self._call_seconds
            )
        except grpc.RpcError as error:
            raise self._join_error(error) from None
        self.has_answered = True
        return response

    def push_usage(self, request: ingest_pb2.PushUsageRequest) -> ingest_pb2.PushUsageResponse:
        """Pushes blocks.

        Raises:
            UplinkError: It failed, or its answer was lost.
        """
        try:
            response: ingest_pb2.PushUsageResponse = self._stub.PushUsage(
                request, metadata=self._metadata, timeout=self._call_seconds
            )
        except grpc.RpcError as error:
            raise self._uplink_error(error) from None
        self.has_answered = True
        return response

    def begin_sync(
        self, request: lease_pb2.SyncLeasesRequest
    ) -> "grpc.Future[lease_pb2.SyncLeasesResponse]":
        """Begins a sync of leases, which hangs until the server has news; see `sync_result`.

        Raises:
            UplinkError: The channel was given up.
        """
        try:
            call: grpc.Future[lease_pb2.SyncLeasesResponse] = self._leases.SyncLeases.future(
                request, metadata=self._metadata, timeout=SYNC_SECONDS
            )
        except ValueError:  # The other thread of the lease side has just given the channel up.
            raise UplinkError(message="the channel was given up", is_given_up=True) from None
        return call

    def sync_result(
        self, call: "grpc.Future[lease_pb2.SyncLeasesResponse]"
    ) -> lease_pb2.SyncLeasesResponse:
        """Returns the answer of a sync that is over.

        Raises:
            UplinkError: It failed.
        """
        try:
            response = call.result()
        except grpc.RpcError as error:
            raise self._uplink_error(error, seconds=SYNC_SECONDS) from None
        except grpc.FutureCancelledError:
            raise UplinkError(message="the sync was given up", is_given_up=True) from None
        self.has_answered = True
        return response

    def acquire_lease(
        self, request: lease_pb2.AcquireLeaseRequest, *, timeout_seconds: float
    ) -> lease_pb2.AcquireLeaseResponse:
        """Asks for leases and terms at once.

        Raises:
            UplinkError: It failed.
        """
        try:
            response: lease_pb2.AcquireLeaseResponse = self._leases.AcquireLease(
                request, metadata=self._metadata, timeout=timeout_seconds
            )
        except grpc.RpcError as error:
            raise self._uplink_error(error, seconds=timeout_seconds) from None
        except ValueError:  # The other thread of the lease side has just given the channel up.
            raise UplinkError(message="the channel was given up", is_given_up=True) from None
        self.has_answered = True
        return response

    def close(self) -> None:
        """Closes the channel; a call in flight ends at once with an error."""
        self._is_closed = True
        self._channel.close()

    def _join_error(self, rpc_error: grpc.RpcError) -> UplinkError:
        error = error_from_rpc(rpc_error)
        if rpc_error.code() is grpc.StatusCode.UNIMPLEMENTED:
            message = (
                f"the server {self._target} is older and takes no join tokens: upgrade it, or give "
                "the agent a token of its own (`billing-server agent enroll NAME`) with "
                "--token-file; until then the agent buffers"
            )
        elif error.kind in (ErrorKind.AUTHENTICATION, ErrorKind.PERMISSION_DENIED):
            message = (
                f"the server {self._target} did not let this host join: {error.message}. Write "
                "another join token into the file of --join-token-file, it is taken at once; until "
                "then the agent buffers"
            )
        else:
            return self._uplink_error(rpc_error)
        return UplinkError(message=message, is_answered=True, is_refused=True, reason=error.reason)

    def _uplink_error(
        self, rpc_error: grpc.RpcError, *, seconds: float | None = None
    ) -> UplinkError:
        error = error_from_rpc(rpc_error)
        if error.kind in (ErrorKind.AUTHENTICATION, ErrorKind.PERMISSION_DENIED):
            return UplinkError(
                message=f"the server {self._target} refused the agent's token: {error.message}. "
                "Write a new one into the token file, it is taken at once; until then the agent "
                "buffers",
                is_answered=True,
                is_refused=True,
            )
        if error.reason == "IDENTITY_TAKEN":
            return IdentityTakenError(message=error.message, is_answered=True)
        code = rpc_error.code()
        if code is grpc.StatusCode.UNAVAILABLE and error.reason == "RPC_UNAVAILABLE":
            message = f"the server {self._target} cannot be reached ({error.message})"
        elif code is grpc.StatusCode.UNAVAILABLE:
            message = f"the server {self._target} cannot serve now: {error.message}"
        elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
            waited = self._call_seconds if seconds is None else seconds
            message = f"the server {self._target} did not answer within {waited:g} s"
        else:
            message = f"the server {self._target} answered {code.name}: {error.message}"
        return UplinkError(
            message=message,
            is_answered=code not in _UNANSWERED_CODES,
            is_unreachable=code is grpc.StatusCode.UNAVAILABLE,
            is_given_up=self._is_closed and code is grpc.StatusCode.CANCELLED,
            is_busy=code in _BUSY_CODES,
            retry_after_seconds=error.retry_after_seconds,
            is_content_refused=code is grpc.StatusCode.INVALID_ARGUMENT,
            reason=error.reason,
        )
