"""Parameters that many calls share."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query

from billing_server.services.pages import PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, PageRequest
from metering.clock import parse_instant
from metering.errors import FieldViolation, ValidationError


def page_request(
    cursor: Annotated[
        str | None, Query(description="`next_cursor` of the page before; unset: the first page.")
    ] = None,
    limit: Annotated[
        int, Query(ge=1, le=PAGE_LIMIT_MAX, description="Entries of the page.")
    ] = PAGE_LIMIT_DEFAULT,
) -> PageRequest:
    """Read which page of a list is wanted."""
    return PageRequest(cursor=cursor, limit=limit)


WantedPage = Annotated[PageRequest, Depends(page_request)]
"""Parameter of a handler that answers a list."""


def instant_of(text: str, *, field: str) -> datetime:
    """Read an instant of a request.

    Args:
        text: as the caller wrote it.
        field: where it stood, for the answer.

    Raises:
        ValidationError: INSTANT_MALFORMED, naming the field.
    """
    try:
        return parse_instant(text)
    except ValidationError as error:
        raise ValidationError(
            reason=error.reason,
            message=f"{field}: {error.message}",
            violations=[FieldViolation(field, error.message, error.reason)],
        ) from error


def dimension_filter(text: str) -> tuple[str, str]:
    """Read `dimension=value` of a request.

    Raises:
        ValidationError: FILTER_MALFORMED.
    """
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ValidationError(
            reason="FILTER_MALFORMED", message=f"where: {text!r} is not DIMENSION=VALUE"
        )
    return name, value
