"""Tests of errors: the one table of kinds, the problem document, crossing process borders."""

import copy
import pickle

import pytest

from metering.errors import (
    ERROR_TYPES,
    AlreadyExistsError,
    AuthenticationError,
    ConflictError,
    DeadlineError,
    ErrorKind,
    FieldViolation,
    InvalidStateError,
    InvariantError,
    MeteringError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    UnavailableError,
    ValidationError,
    problem_from_error,
)


@pytest.mark.parametrize(
    ("error_type", "grpc_status", "http_status", "is_retryable"),
    [
        (ValidationError, "INVALID_ARGUMENT", 400, False),
        (AuthenticationError, "UNAUTHENTICATED", 401, False),
        (PermissionDeniedError, "PERMISSION_DENIED", 403, False),
        (NotFoundError, "NOT_FOUND", 404, False),
        (AlreadyExistsError, "ALREADY_EXISTS", 409, False),
        (ConflictError, "ABORTED", 409, True),
        (InvalidStateError, "FAILED_PRECONDITION", 412, False),
        (QuotaExceededError, "RESOURCE_EXHAUSTED", 429, True),
        (UnavailableError, "UNAVAILABLE", 503, True),
        (DeadlineError, "DEADLINE_EXCEEDED", 504, True),
        (InvariantError, "INTERNAL", 500, False),
    ],
)
def test_each_kind_has_one_grpc_code_and_one_http_status(
    error_type: type[MeteringError], grpc_status: str, http_status: int, is_retryable: bool
) -> None:
    kind = error_type.kind
    assert (kind.grpc_status, kind.http_status, kind.is_retryable) == (
        grpc_status,
        http_status,
        is_retryable,
    )
    assert ERROR_TYPES[kind] is error_type


def test_every_kind_has_its_exception_class() -> None:
    assert set(ERROR_TYPES) == set(ErrorKind)


def test_an_error_reads_as_its_message_and_carries_its_parts() -> None:
    violation = FieldViolation("events[3].event_id", "is longer than 128 bytes")
    error = ValidationError(
        reason="EVENT_ID_TOO_LONG",
        message="one event is wrong",
        metadata={"limit": "128"},
        violations=[violation],
        retry_after_seconds=1.5,
    )
    assert str(error) == "one event is wrong"
    assert repr(error) == (
        "ValidationError(reason='EVENT_ID_TOO_LONG', message='one event is wrong')"
    )
    assert error.reason == "EVENT_ID_TOO_LONG"
    assert error.metadata == {"limit": "128"}
    assert error.violations == (violation,)
    assert error.retry_after_seconds == 1.5


@pytest.mark.parametrize("clone", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301
def test_an_error_survives_copying_and_pickling(clone: object) -> None:
    error = QuotaExceededError(
        reason="BUFFER_FULL", message="full", metadata={"a": "b"}, retry_after_seconds=2
    )
    twin = clone(error)  # type: ignore[operator]
    assert type(twin) is QuotaExceededError
    assert str(twin) == "full"
    assert vars(twin) == vars(error)


def test_an_error_is_an_rfc_9457_problem_document() -> None:
    error = QuotaExceededError(
        reason="BUFFER_FULL",
        message="the buffer is full",
        metadata={"bytes_max": "1024"},
        violations=[FieldViolation("disk", "1024 of 1024 bytes", "DISK_BUDGET")],
        retry_after_seconds=5,
    )
    assert problem_from_error(error, instance="/v1/usage") == {
        "type": "urn:metering:problem:buffer-full",
        "title": "Quota exceeded",
        "status": 429,
        "detail": "the buffer is full",
        "instance": "/v1/usage",
        "reason": "BUFFER_FULL",
        "violations": [
            {"field": "disk", "description": "1024 of 1024 bytes", "reason": "DISK_BUDGET"}
        ],
        "metadata": {"bytes_max": "1024"},
        "retry_after_seconds": 5,
    }


def test_a_problem_leaves_out_what_is_not_known() -> None:
    problem = problem_from_error(NotFoundError(reason="CUSTOMER_NOT_FOUND", message="no such"))
    assert problem["violations"] == []
    assert "instance" not in problem
    assert "retry_after_seconds" not in problem
