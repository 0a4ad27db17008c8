"""The edge helpers that both programs share: errors to and from gRPC statuses, bearer tokens.

An error is mapped once, here, to a `google.rpc.Status` with its details (AIP-193); handlers raise
and never abort. Only the programs import this module: the SDK needs neither grpcio-status nor the
detail messages.
"""

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from metering.errors import (
    ERROR_TYPES,
    ErrorKind,
    FieldViolation,
    InvariantError,
    MeteringError,
)
from metering.ids import uuid7

ERROR_DOMAIN: Final = "metering"
"""`domain` of every ErrorInfo: reasons are unique within it."""
STATUS_BYTES_MAX: Final = 2_500
"""Bytes of a serialized status. It travels in base64 beside its message in the trailing metadata,
and a peer cuts a call off whose metadata passes 8 KiB: a long list of violations would hide itself.
"""
MESSAGE_LENGTH_MAX: Final = 400
"""Characters of one message on the wire, up to nine bytes each there."""

_LOGGER: Final = logging.getLogger(__name__)
_DETAILS_KEY: Final = "grpc-status-details-bin"
_AUTHORIZATION_KEY: Final = "authorization"
_BEARER: Final = "bearer"
_NANOSECONDS_PER_SECOND: Final = 1_000_000_000
_DETAIL_TYPES: Final = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.QuotaFailure,
    error_details_pb2.PreconditionFailure,
    error_details_pb2.RetryInfo,
)
_KIND_OF_STATUS: Final[Mapping[str, ErrorKind]] = {
    **{kind.grpc_status: kind for kind in ErrorKind},
    # What the transport or a proxy answers by itself.
    "CANCELLED": ErrorKind.UNAVAILABLE,
    "OUT_OF_RANGE": ErrorKind.VALIDATION,
    "UNIMPLEMENTED": ErrorKind.INVALID_STATE,
}

if TYPE_CHECKING:
    # Generic for the type checker alone.
    Handler = grpc.RpcMethodHandler[Any, Any]
    AioContext = grpc.aio.ServicerContext[Any, Any]

Metadata = Iterable[tuple[str, str | bytes]]


def bearer_metadata(token: str) -> tuple[tuple[str, str], ...]:
    """Returns the call metadata that presents this token."""
    return ((_AUTHORIZATION_KEY, f"Bearer {token}"),)


def token_from_metadata(metadata: Metadata | None) -> str | None:
    """Returns the bearer token of a call's metadata; None where there is none or an empty one."""
    for key, value in metadata or ():
        if key.lower() == _AUTHORIZATION_KEY and isinstance(value, str):
            scheme, _, token = value.partition(" ")
            if scheme.lower() == _BEARER and token.strip():
                return token.strip()
    return None


def status_from_error(error: MeteringError) -> grpc.Status:
    """Returns the gRPC status of an error, for `context.abort_with_status`."""
    status: grpc.Status = rpc_status.to_status(status_message_from_error(error))
    return status


def status_message_from_error(error: MeteringError) -> Any:
    """Returns the `google.rpc.Status` of an error, at most `STATUS_BYTES_MAX` bytes.

    ErrorInfo always; BadRequest, QuotaFailure or PreconditionFailure by the kind; RetryInfo where
    the error says when to come back. A list of violations that is too long is cut at its end and
    the metadata says how many there were (`violation_count`).
    """
    violations, metadata = error.violations, dict(error.metadata)
    while True:
        status = _status_message(error, violations=violations, metadata=metadata)
        if status.ByteSize() <= STATUS_BYTES_MAX or not (violations or metadata):
            return status
        if violations:
            violations = violations[: len(violations) // 2]
            metadata["violation_count"] = str(len(error.violations))
        else:
            metadata = {}


def error_from_rpc(error: grpc.RpcError) -> MeteringError:
    """Returns the error that a peer answered with, or that the transport made of its absence.

    Args:
        error: What a stub raised; it is also a `grpc.Call` or a `grpc.aio.AioRpcError`.
    """
    code, message = error.code(), error.details() or ""
    reason, metadata, violations, retry_after = f"RPC_{code.name}", {}, [], None
    for detail in _details_of(error):
        if isinstance(detail, error_details_pb2.ErrorInfo):
            reason, metadata = detail.reason, dict(detail.metadata)
        elif isinstance(detail, error_details_pb2.RetryInfo):
            retry_after = detail.retry_delay.ToNanoseconds() / _NANOSECONDS_PER_SECOND
        elif isinstance(detail, error_details_pb2.BadRequest):
            violations += [
                FieldViolation(item.field, item.description, item.reason)
                for item in detail.field_violations
            ]
        elif isinstance(detail, error_details_pb2.QuotaFailure):
            violations += [FieldViolation(i.subject, i.description) for i in detail.violations]
        elif isinstance(detail, error_details_pb2.PreconditionFailure):
            violations += [
                FieldViolation(item.subject, item.description, item.type)
                for item in detail.violations
            ]
    kind = _KIND_OF_STATUS.get(code.name, ErrorKind.INVARIANT)
    return ERROR_TYPES[kind](
        reason=reason,
        message=message,
        metadata=metadata,
        violations=violations,
        retry_after_seconds=retry_after,
    )


class ErrorInterceptor(grpc.ServerInterceptor):
    """Answers what a handler of a threaded server raises with the status of the error.

    An exception that is not a `MeteringError` is a bug: it is logged with its traceback under a
    correlation id, and the caller learns the id and nothing else.

    Args:
        new_correlation_id: Makes the correlation ids.
    """

    def __init__(self, *, new_correlation_id: Callable[[], str] = uuid7) -> None:
        self._new_correlation_id = new_correlation_id

    def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Handler | None]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        """Returns the method's handler with its errors mapped."""
        return _wrapped(
            continuation(handler_call_details),
            _Mapping(method=handler_call_details.method, new_id=self._new_correlation_id),
        )


class AioErrorInterceptor(grpc.aio.ServerInterceptor):
    """Answers what a handler of an asyncio server raises with the status of the error.

    Args:
        new_correlation_id: Makes the correlation ids.
    """

    def __init__(self, *, new_correlation_id: Callable[[], str] = uuid7) -> None:
        self._new_correlation_id = new_correlation_id

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        """Returns the method's handler with its errors mapped."""
        return _wrapped(
            await continuation(handler_call_details),
            _Mapping(method=handler_call_details.method, new_id=self._new_correlation_id),
        )


class _Mapping:
    """Turns whatever one method raises into a status."""

    __slots__ = ("_method", "_new_id")

    def __init__(self, *, method: str, new_id: Callable[[], str]) -> None:
        self._method = method
        self._new_id = new_id

    def status(self, error: Exception) -> grpc.Status:
        if isinstance(error, MeteringError) and error.kind is not ErrorKind.INVARIANT:
            return status_from_error(error)
        correlation_id = self._new_id()
        _LOGGER.error(
            "rpc_failed method=%s correlation_id=%s",
            self._method,
            correlation_id,
            exc_info=error,
        )
        reason = error.reason if isinstance(error, MeteringError) else "INTERNAL"
        return status_from_error(
            InvariantError(
                reason=reason,
                message=f"internal error; give {correlation_id} to the operator to find it",
                metadata={"correlation_id": correlation_id},
            )
        )

    def abort(self, error: Exception, context: Any) -> NoReturn:
        if _is_no_answer_due(error, context):
            raise error
        # In two steps: plain functions on an asyncio server get a context without
        # `abort_with_status`.
        status = self.status(error)
        context.set_trailing_metadata(status.trailing_metadata)
        context.abort(status.code, status.details)
        raise error  # Not reached: the line above always raises.

    async def abort_aio(self, error: Exception, context: "AioContext") -> None:
        if isinstance(error, grpc.aio.AbortError):
            raise error
        await context.abort_with_status(self.status(error))


def _is_no_answer_due(error: Exception, context: Any) -> bool:
    if isinstance(error, grpc.aio.AbortError):
        return True
    if not isinstance(context, grpc.ServicerContext):
        return False
    state: Any = context
    # Reading the requests of a call that its caller left raises: nobody waits for an answer.
    if isinstance(error, grpc.RpcError) and not state.is_active():
        return True
    # A bare Exception beside a set code is how a threaded context carries out an abort: a handler
    # of another library may have asked for one.
    return type(error) is Exception and not error.args and state.code() is not None


def _wrapped(handler: "Handler | None", mapping: _Mapping) -> "Handler | None":
    if handler is None:
        return None
    shape = ("stream" if handler.request_streaming else "unary") + (
        "_stream" if handler.response_streaming else "_unary"
    )
    behavior = getattr(handler, shape)
    if inspect.isasyncgenfunction(behavior):
        guarded = _guard_async_generator(behavior, mapping)
    elif inspect.iscoroutinefunction(behavior):
        guarded = _guard_coroutine(behavior, mapping)
    elif handler.response_streaming:
        guarded = _guard_iterator(behavior, mapping)
    else:
        guarded = _guard_function(behavior, mapping)
    remake = getattr(grpc, f"{shape}_rpc_method_handler")
    remade: Handler = remake(guarded, handler.request_deserializer, handler.response_serializer)
    return remade


def _guard_function(behavior: Callable[..., Any], mapping: _Mapping) -> Callable[..., Any]:
    def call(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return behavior(request, context)
        except Exception as error:  # noqa: BLE001 - the edge answers whatever was raised
            mapping.abort(error, context)

    return call


def _guard_iterator(behavior: Callable[..., Any], mapping: _Mapping) -> Callable[..., Any]:
    def call(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            yield from behavior(request, context)
        except Exception as error:  # noqa: BLE001 - the edge answers whatever was raised
            mapping.abort(error, context)

    return call


def _guard_coroutine(behavior: Callable[..., Any], mapping: _Mapping) -> Callable[..., Any]:
    async def call(request: Any, context: "AioContext") -> Any:
        try:
            return await behavior(request, context)
        except Exception as error:  # noqa: BLE001 - the edge answers whatever was raised
            await mapping.abort_aio(error, context)

    return call


def _guard_async_generator(behavior: Callable[..., Any], mapping: _Mapping) -> Callable[..., Any]:
    async def call(request: Any, context: "AioContext") -> AsyncIterator[Any]:
        try:
            async for response in behavior(request, context):
                yield response
        except Exception as error:  # noqa: BLE001 - the edge answers whatever was raised
            await mapping.abort_aio(error, context)

    return call


def _status_message(
    error: MeteringError, *, violations: tuple[FieldViolation, ...], metadata: dict[str, str]
) -> Any:
    status = status_pb2.Status(
        code=code_pb2.Code.Value(error.kind.grpc_status), message=_short(error.message)
    )
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN, metadata=metadata)
    for detail in (info, _failure_detail(error, violations), _retry_info(error)):
        if detail is not None:
            status.details.add().Pack(detail)
    return status


def _failure_detail(error: MeteringError, violations: tuple[FieldViolation, ...]) -> Any:
    """Returns the detail message that the kind of the error asks for, None where there is none."""
    if error.kind is ErrorKind.QUOTA_EXCEEDED:
        return error_details_pb2.QuotaFailure(
            violations=[
                error_details_pb2.QuotaFailure.Violation(
                    subject=item.field, description=_short(item.description)
                )
                for item in violations or (FieldViolation(error.reason, error.message),)
            ]
        )
    if error.kind is ErrorKind.INVALID_STATE:
        return error_details_pb2.PreconditionFailure(
            violations=[
                error_details_pb2.PreconditionFailure.Violation(
                    type=item.reason or error.reason,
                    subject=item.field,
                    description=_short(item.description),
                )
                for item in violations or (FieldViolation("", error.message),)
            ]
        )
    if not violations:
        return None
    return error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(
                field=item.field, description=_short(item.description), reason=item.reason
            )
            for item in violations
        ]
    )


def _retry_info(error: MeteringError) -> Any:
    if error.retry_after_seconds is None:
        return None
    delay = Duration()
    delay.FromNanoseconds(round(error.retry_after_seconds * _NANOSECONDS_PER_SECOND))
    return error_details_pb2.RetryInfo(retry_delay=delay)


def _details_of(error: grpc.RpcError) -> Iterator[Any]:
    trailing: Any = error.trailing_metadata() or ()
    for key, value in trailing:
        if key == _DETAILS_KEY:
            try:
                packed_details = status_pb2.Status.FromString(value).details
            except DecodeError:
                continue  # A peer that does not speak google.rpc.Status: its code and text remain.
            for packed in packed_details:
                yield from _unpacked(packed)


def _unpacked(packed: Any) -> Iterator[Any]:
    for detail_type in _DETAIL_TYPES:
        detail = detail_type()
        if packed.Unpack(detail):
            yield detail


def _short(text: str) -> str:
    return text if len(text) <= MESSAGE_LENGTH_MAX else text[: MESSAGE_LENGTH_MAX - 1] + "…"
