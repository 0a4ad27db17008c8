"""Errors as `application/problem+json` (RFC 9457), from one mapping."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from metering.errors import (
    FieldViolation,
    InvariantError,
    MeteringError,
    ValidationError,
    problem_from_error,
)

PROBLEM_MEDIA_TYPE = "application/problem+json"
VIOLATIONS_MAX = 100
"""Violations that one answer lists at most."""
INTERNAL_ERROR_CODE = 500
REMEDIES = {
    "extra_forbidden": "unknown field; correct its name, or leave it out",
    "missing": "the field is missing",
    "string_type": 'is not text; numbers are quoted too, such as "1200"',
}
"""What pydantic calls a mistake, in the words of catalog files."""

log = structlog.get_logger(__name__)


class Violation(BaseModel):
    """One mistake in one field."""

    field: str = Field(description="Path of the field, e.g. `timezone` or `prices[0].tiers`.")
    description: str = Field(description="What is wrong and what to do.")
    reason: str = Field(default="", description="Stable reason in UPPER_SNAKE_CASE.")


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(description="URI that names the kind of problem.")
    title: str = Field(description="Short text, the same for every problem of this type.")
    status: int = Field(description="HTTP status code.", ge=400, le=599)
    detail: str = Field(description="What went wrong here, and the remedy.")
    reason: str = Field(description="Stable reason in UPPER_SNAKE_CASE; programs test this.")
    instance: str = Field(default="", description="Path of the request.")
    violations: list[Violation] = Field(default_factory=list, description="One entry a mistake.")
    metadata: dict[str, str] = Field(default_factory=dict, description="Values of this case.")


def problem_response(error: MeteringError, *, instance: str) -> JSONResponse:
    """Return the answer that tells a caller of an error."""
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_seconds)))
    if error.kind.http_status == 401:  # noqa: PLR2004 - Unauthorized
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(
        problem_from_error(error, instance=instance),
        status_code=error.kind.http_status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers=headers,
    )


def install_problem_handlers(app: FastAPI) -> None:
    """Make every error of the application a problem."""
    app.add_exception_handler(MeteringError, _on_metering_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_unknown_error)


async def _on_metering_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, MeteringError):
        raise error
    if error.kind.http_status >= INTERNAL_ERROR_CODE:
        log.error("request_failed", reason=error.reason, exc_info=error)
    return problem_response(error, instance=request.url.path)


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    violations = tuple(_violation(entry) for entry in error.errors()[:VIOLATIONS_MAX])
    listed = "; ".join(f"{each.field or 'body'}: {each.description}" for each in violations)
    wrong = ValidationError(
        reason="REQUEST_INVALID", message=f"the request is wrong: {listed}", violations=violations
    )
    return problem_response(wrong, instance=request.url.path)


def _violation(entry: Mapping[str, Any]) -> FieldViolation:
    if entry["type"] == "json_invalid":
        where = f"is not JSON at character {entry['loc'][-1]}"
        problem = f"{where}: {entry.get('ctx', {}).get('error', 'malformed')}"
        return FieldViolation("body", problem, "JSON_MALFORMED")
    if entry["type"] == "model_attributes_type" and entry["loc"] == ("body",):
        problem = "is no JSON object; send one, with the header Content-Type: application/json"
        return FieldViolation("body", problem, "FIELD_INVALID")
    said = str(entry["msg"]).removeprefix("Value error, ")
    description = REMEDIES.get(entry["type"], said)
    return FieldViolation(field_path(entry["loc"]), description, "FIELD_INVALID")


def field_path(location: Sequence[int | str]) -> str:
    """Return the path of a field as callers write it: `prices[0].amount`, without `body`."""
    parts = list(location)
    if parts and parts[0] in {"body", "query", "path", "header"}:
        parts = parts[1:]
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    reasons = {404: "PATH_NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}
    problem = {
        "type": "about:blank",
        "title": str(error.detail),
        "status": error.status_code,
        "detail": f"{request.method} {request.url.path}: {error.detail}; see /docs",
        "reason": reasons.get(error.status_code, "REQUEST_INVALID"),
        "instance": request.url.path,
        "violations": [],
        "metadata": {},
    }
    return JSONResponse(
        problem,
        status_code=error.status_code,
        media_type=PROBLEM_MEDIA_TYPE,
        headers=error.headers,
    )


async def _on_unknown_error(request: Request, error: Exception) -> JSONResponse:
    correlation_id = uuid.uuid4().hex
    log.error("unforeseen_error", correlation_id=correlation_id, exc_info=error)
    hidden = InvariantError(
        reason="INTERNAL",
        message=f"an unforeseen error; the server's log has it under {correlation_id}",
        metadata={"correlation_id": correlation_id},
    )
    return problem_response(hidden, instance=request.url.path)
