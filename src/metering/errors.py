"""Errors of the whole product: one root, a closed set of kinds, stable reasons.

The kind decides how an error looks on the wire; `ErrorKind` is the one table of that mapping and
the edges read nothing else. The reason (`UPPER_SNAKE`) names the case and never changes once
published.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Final

PROBLEM_TYPE_PREFIX: Final = "urn:metering:problem:"


class ErrorKind(Enum):
    """The kinds of error and what each is on gRPC and on HTTP."""

    VALIDATION = ("INVALID_ARGUMENT", 400, False, "Invalid argument")
    AUTHENTICATION = ("UNAUTHENTICATED", 401, False, "Not authenticated")
    PERMISSION_DENIED = ("PERMISSION_DENIED", 403, False, "Permission denied")
    NOT_FOUND = ("NOT_FOUND", 404, False, "Not found")
    ALREADY_EXISTS = ("ALREADY_EXISTS", 409, False, "Already exists with other content")
    CONFLICT = ("ABORTED", 409, True, "Lost a race")
    INVALID_STATE = ("FAILED_PRECONDITION", 412, False, "Not possible in this state")
    QUOTA_EXCEEDED = ("RESOURCE_EXHAUSTED", 429, True, "Quota exceeded")
    UNAVAILABLE = ("UNAVAILABLE", 503, True, "Unavailable")
    DEADLINE = ("DEADLINE_EXCEEDED", 504, True, "Deadline exceeded")
    INVARIANT = ("INTERNAL", 500, False, "Internal error")

    def __init__(
        self,
        grpc_status: str,
        http_status: int,
        is_retryable: bool,  # noqa: FBT001 - an enum row is positional by nature
        title: str,
    ) -> None:
        self.grpc_status: Final = grpc_status
        """Name of the gRPC code, e.g. "INVALID_ARGUMENT"."""
        self.http_status: Final = http_status
        """HTTP status, 400 to 504."""
        self.is_retryable: Final = is_retryable
        """Whether the same request may be sent again, with the same ids."""
        self.title: Final = title
        """Short human name of the kind, the `title` of an HTTP problem."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One thing that is wrong with one field."""

    field: str
    """Path of the field, e.g. "events[3].quantities" or "catalog.yaml:12 plans[0].key"."""
    description: str
    """What is wrong and what to do, one sentence."""
    reason: str = ""
    """Stable `UPPER_SNAKE` reason of this violation, empty where the error's own says it all."""


class MeteringError(Exception):
    """The root of all errors that the product raises on purpose.

    Args:
        reason: Stable `UPPER_SNAKE` name of the case, e.g. "QUANTITY_NEGATIVE".
        message: What is wrong, where, and what to do: for a person.
        metadata: Values that a program may read, e.g. the limit that was passed.
        violations: Each wrong field by itself, where there are fields.
        retry_after_seconds: Seconds to wait before another try, >= 0; None where not known.
    """

    kind: ClassVar[ErrorKind] = ErrorKind.INVARIANT

    def __init__(
        self,
        *,
        reason: str,
        message: str,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata: Mapping[str, str] = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after_seconds = retry_after_seconds

    def __reduce__(self) -> tuple[object, ...]:
        # An exception is rebuilt from its positional arguments by default, which keyword-only
        # construction would refuse: errors do cross process borders, in pools and test runners.
        return (_rebuild, (type(self), self.__dict__))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(reason={self.reason!r}, message={self.message!r})"


def _rebuild(error_type: type[MeteringError], state: dict[str, object]) -> MeteringError:
    error = error_type.__new__(error_type, state["message"])
    error.__dict__.update(state)
    return error


class ValidationError(MeteringError):
    """The request or file is wrong by itself; sending it again changes nothing."""

    kind = ErrorKind.VALIDATION


class AuthenticationError(MeteringError):
    """The caller is unknown: no token, or a wrong one."""

    kind = ErrorKind.AUTHENTICATION


class PermissionDeniedError(MeteringError):
    """The caller is known and may not do this."""

    kind = ErrorKind.PERMISSION_DENIED


class NotFoundError(MeteringError):
    """The named thing does not exist."""

    kind = ErrorKind.NOT_FOUND


class AlreadyExistsError(MeteringError):
    """The same id exists with other content."""

    kind = ErrorKind.ALREADY_EXISTS


class ConflictError(MeteringError):
    """A race was lost: the whole transaction may be tried again."""

    kind = ErrorKind.CONFLICT


class InvalidStateError(MeteringError):
    """The thing exists and its state does not allow this."""

    kind = ErrorKind.INVALID_STATE


class QuotaExceededError(MeteringError):
    """The service cannot answer for lack of room. A denied quota is an answer, not this error."""

    kind = ErrorKind.QUOTA_EXCEEDED


class UnavailableError(MeteringError):
    """The service cannot serve now; back off and try again with the same ids."""

    kind = ErrorKind.UNAVAILABLE


class DeadlineError(MeteringError):
    """The answer did not come in time; the request may have been applied."""

    kind = ErrorKind.DEADLINE


class InvariantError(MeteringError):
    """The program found itself in a state that cannot be: a bug."""

    kind = ErrorKind.INVARIANT


ERROR_TYPES: Final[Mapping[ErrorKind, type[MeteringError]]] = {
    error_type.kind: error_type
    for error_type in (
        ValidationError,
        AuthenticationError,
        PermissionDeniedError,
        NotFoundError,
        AlreadyExistsError,
        ConflictError,
        InvalidStateError,
        QuotaExceededError,
        UnavailableError,
        DeadlineError,
        InvariantError,
    )
}
"""The exception class of each kind, for edges that turn a wire error back into an exception."""


def problem_from_error(error: MeteringError, *, instance: str = "") -> dict[str, object]:
    """Returns the members of an RFC 9457 problem document (`application/problem+json`).

    Args:
        error: What went wrong.
        instance: URI of the occurrence, e.g. the request path; left out when empty.
    """
    problem: dict[str, object] = {
        "type": PROBLEM_TYPE_PREFIX + error.reason.lower().replace("_", "-"),
        "title": error.kind.title,
        "status": error.kind.http_status,
        "detail": error.message,
        "reason": error.reason,
        "violations": [
            {"field": item.field, "description": item.description, "reason": item.reason}
            for item in error.violations
        ],
        "metadata": dict(error.metadata),
    }
    if instance:
        problem["instance"] = instance
    if error.retry_after_seconds is not None:
        problem["retry_after_seconds"] = error.retry_after_seconds
    return problem
