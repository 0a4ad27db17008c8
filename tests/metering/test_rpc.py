"""Tests of the edge helpers: statuses, a real threaded server, tokens."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from metering.errors import (
    ERROR_TYPES,
    AlreadyExistsError,
    ErrorKind,
    FieldViolation,
    InvalidStateError,
    InvariantError,
    MeteringError,
    NotFoundError,
    QuotaExceededError,
    UnavailableError,
    ValidationError,
)
from metering.rpc import (
    STATUS_BYTES_MAX,
    ErrorInterceptor,
    bearer_metadata,
    error_from_rpc,
    status_from_error,
    status_message_from_error,
    token_from_metadata,
)

DETAIL_TYPES = {
    name: getattr(error_details_pb2, name)
    for name in ("ErrorInfo", "BadRequest", "QuotaFailure", "PreconditionFailure", "RetryInfo")
}


def details_of(error: MeteringError) -> dict[str, Any]:
    """Returns the detail messages of an error's status by their names."""
    found = {}
    for packed in status_message_from_error(error).details:
        name = packed.TypeName().removeprefix("google.rpc.")
        found[name] = DETAIL_TYPES[name]()
        packed.Unpack(found[name])
    return found


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_is_sent_with_its_code_and_its_reason(kind: ErrorKind) -> None:
    error = ERROR_TYPES[kind](reason="SOME_CASE", message="text", metadata={"limit": "5"})
    status = status_from_error(error)
    assert status.code is grpc.StatusCode[kind.grpc_status]
    assert status.details == "text"
    info = details_of(error)["ErrorInfo"]
    assert (info.reason, info.domain, dict(info.metadata)) == (
        "SOME_CASE",
        "metering",
        {"limit": "5"},
    )


def test_a_validation_error_names_each_field_in_a_bad_request() -> None:
    violation = FieldViolation("events[0].event_id", "is empty", "EVENT_ID_EMPTY")
    details = details_of(ValidationError(reason="BAD", message="bad", violations=[violation]))
    assert set(details) == {"ErrorInfo", "BadRequest"}
    sent = details["BadRequest"].field_violations[0]
    assert (sent.field, sent.description, sent.reason) == (
        "events[0].event_id",
        "is empty",
        "EVENT_ID_EMPTY",
    )


def test_an_exceeded_quota_says_which_and_when_to_come_back() -> None:
    details = details_of(
        QuotaExceededError(reason="BUFFER_FULL", message="full", retry_after_seconds=1.5)
    )
    assert set(details) == {"ErrorInfo", "QuotaFailure", "RetryInfo"}
    violation = details["QuotaFailure"].violations[0]
    assert (violation.subject, violation.description) == ("BUFFER_FULL", "full")
    assert details["RetryInfo"].retry_delay.ToMilliseconds() == 1500


def test_an_invalid_state_names_its_precondition() -> None:
    details = details_of(InvalidStateError(reason="PERIOD_CLOSED", message="closed"))
    violation = details["PreconditionFailure"].violations[0]
    assert (violation.type, violation.subject, violation.description) == (
        "PERIOD_CLOSED",
        "",
        "closed",
    )


@pytest.mark.parametrize("letter", ["x", "字"])
def test_a_status_never_outgrows_the_metadata_of_a_call(letter: str) -> None:
    violations = [FieldViolation(f"events[{n}]", letter * 5000) for n in range(10_000)]
    error = ValidationError(reason="BAD", message=letter * 5000, violations=violations)
    status = status_message_from_error(error)
    assert status.ByteSize() <= STATUS_BYTES_MAX
    assert details_of(error)["ErrorInfo"].metadata["violation_count"] == "10000"
    stuffed = NotFoundError(reason="NO", message="no", metadata={"key": letter * 5000})
    assert status_message_from_error(stuffed).ByteSize() <= STATUS_BYTES_MAX
    assert details_of(stuffed)["ErrorInfo"].reason == "NO"


class HandlerError(Exception):
    """Stands for a bug; its text is a secret."""


def raising(error: Exception) -> Callable[..., Any]:
    """Returns a handler that raises."""

    def handle(_request: bytes, _context: Any) -> bytes:
        raise error

    return handle


def one_service(method: grpc.RpcMethodHandler) -> grpc.GenericRpcHandler:
    """Returns a service with this one method, whose messages are plain bytes."""
    return grpc.method_handlers_generic_handler("test.Service", {"Call": method})


@contextmanager
def threaded_channel(method: grpc.RpcMethodHandler) -> Iterator[grpc.Channel]:
    """Serves the method on a threaded server with the interceptor."""
    server = grpc.server(
        ThreadPoolExecutor(max_workers=1),
        interceptors=[ErrorInterceptor(new_correlation_id=lambda: "c-1")],
    )
    server.add_generic_rpc_handlers((one_service(method),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        server.stop(None).wait(10)


def call_unary(channel: grpc.Channel) -> Any:
    """Calls the method with one request and one answer."""
    return channel.unary_unary("/test.Service/Call")(b"ping", timeout=10)


def test_a_threaded_handler_that_raises_is_answered_with_the_errors_status() -> None:
    error = AlreadyExistsError(reason="EVENT_ID_REUSED", message="other content — refused")
    method = grpc.unary_unary_rpc_method_handler(raising(error))
    with threaded_channel(method) as channel, pytest.raises(grpc.RpcError) as caught:
        call_unary(channel)
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert caught.value.details() == "other content — refused"
    received = error_from_rpc(caught.value)
    assert type(received) is AlreadyExistsError
    assert (received.reason, received.message) == ("EVENT_ID_REUSED", "other content — refused")


@pytest.mark.parametrize(
    "error",
    [
        ValidationError(
            reason="BAD", message="bad", violations=[FieldViolation("a", "is b", "C")] * 2
        ),
        QuotaExceededError(
            reason="FULL",
            message="full",
            violations=[FieldViolation("disk", "is full")],
            retry_after_seconds=0.25,
        ),
        InvalidStateError(
            reason="CLOSED", message="closed", violations=[FieldViolation("a", "is b", "C")]
        ),
        UnavailableError(
            reason="SHUTTING_DOWN", message="stop", metadata={"a": "b"}, retry_after_seconds=3
        ),
    ],
)
def test_an_error_arrives_as_it_was_raised(error: MeteringError) -> None:
    method = grpc.unary_unary_rpc_method_handler(raising(error))
    with threaded_channel(method) as channel, pytest.raises(grpc.RpcError) as caught:
        call_unary(channel)
    received = error_from_rpc(caught.value)
    assert type(received) is type(error)
    assert vars(received) == vars(error)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (HandlerError("the password is hunter2"), "INTERNAL"),
        (InvariantError(reason="LEDGER_UNBALANCED", message="hunter2"), "LEDGER_UNBALANCED"),
    ],
)
def test_a_bug_is_logged_under_an_id_and_its_text_kept_in(
    error: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    method = grpc.unary_unary_rpc_method_handler(raising(error))
    with (
        caplog.at_level(logging.ERROR, logger="metering.rpc"),
        threaded_channel(method) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        call_unary(channel)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    received = error_from_rpc(caught.value)
    assert received.reason == reason
    assert received.metadata == {"correlation_id": "c-1"}
    assert "c-1" in received.message
    assert "hunter2" not in received.message
    record = next(item for item in caplog.records if item.name == "metering.rpc")
    assert "method=/test.Service/Call correlation_id=c-1" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_a_handler_that_answers_is_left_alone() -> None:
    method = grpc.unary_unary_rpc_method_handler(lambda request, _context: request + b" pong")
    with threaded_channel(method) as channel:
        assert call_unary(channel) == b"ping pong"


def test_a_handler_that_aborts_by_itself_keeps_its_status() -> None:
    def handle(_request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.OUT_OF_RANGE, "mine")

    method = grpc.unary_unary_rpc_method_handler(handle)
    with threaded_channel(method) as channel, pytest.raises(grpc.RpcError) as caught:
        call_unary(channel)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.OUT_OF_RANGE, "mine")
    received = error_from_rpc(caught.value)
    assert (type(received), received.reason) == (ValidationError, "RPC_OUT_OF_RANGE")


def test_a_threaded_stream_ends_with_the_errors_status() -> None:
    def count(request: bytes, _context: grpc.ServicerContext) -> Iterator[bytes]:
        yield request
        raise NotFoundError(reason="GONE", message="gone")

    method = grpc.unary_stream_rpc_method_handler(count)
    received = []
    with threaded_channel(method) as channel, pytest.raises(grpc.RpcError) as caught:
        received.extend(channel.unary_stream("/test.Service/Call")(b"one", timeout=10))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_threaded_stream_of_requests_is_guarded_too() -> None:
    def add(requests: Iterator[bytes], _context: grpc.ServicerContext) -> bytes:
        if b"".join(requests) == b"ab":
            raise NotFoundError(reason="GONE", message="gone")
        return b"fine"

    method = grpc.stream_unary_rpc_method_handler(add)
    with threaded_channel(method) as channel:
        call = channel.stream_unary("/test.Service/Call")
        assert call(iter([b"b", b"a"]), timeout=10) == b"fine"
        with pytest.raises(grpc.RpcError) as caught:
            call(iter([b"a", b"b"]), timeout=10)
    assert error_from_rpc(caught.value).reason == "GONE"


def test_a_method_that_is_not_served_stays_unimplemented() -> None:
    method = grpc.unary_unary_rpc_method_handler(raising(HandlerError()))
    with threaded_channel(method) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/test.Service/Other")(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert error_from_rpc(caught.value).kind is ErrorKind.INVALID_STATE


def test_a_peer_that_is_away_is_an_unavailable_error() -> None:
    with (
        grpc.insecure_channel("unix:/nonexistent/agent.sock") as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        call_unary(channel)
    received = error_from_rpc(caught.value)
    assert (type(received), received.reason) == (UnavailableError, "RPC_UNAVAILABLE")


def test_details_that_are_no_status_are_ignored() -> None:
    class Answer(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.UNKNOWN

        def details(self) -> str:
            return "odd"

        def trailing_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
            foreign = status_pb2.Status()
            foreign.details.add().Pack(status_pb2.Status(message="not a known detail"))
            key = "grpc-status-details-bin"
            return (("other", "x"), (key, b"\xff\xff"), (key, foreign.SerializeToString()))

    received = error_from_rpc(Answer())
    assert (type(received), received.reason, received.message) == (
        InvariantError,
        "RPC_UNKNOWN",
        "odd",
    )


def test_a_bearer_token_is_read_back_from_the_metadata_it_was_put_in() -> None:
    assert bearer_metadata("s3cret") == (("authorization", "Bearer s3cret"),)
    assert token_from_metadata(bearer_metadata("s3cret")) == "s3cret"


@pytest.mark.parametrize(
    ("metadata", "token"),
    [
        (None, None),
        ([], None),
        ([("user-agent", "x")], None),
        ([("authorization", "Basic abc")], None),
        ([("authorization", "Bearer")], None),
        ([("authorization", "Bearer   ")], None),
        ([("authorization", b"Bearer x")], None),
        ([("Authorization", "BEARER  x ")], "x"),
        ([("authorization", "Basic abc"), ("authorization", "bearer y")], "y"),
    ],
)
def test_a_token_is_found_only_under_the_bearer_scheme(
    metadata: list[tuple[str, str | bytes]] | None, token: str | None
) -> None:
    assert token_from_metadata(metadata) == token
