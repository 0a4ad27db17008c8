"""Parameters that many calls share."""

from typing import Annotated

from fastapi import Depends, Query

from billing_server.services.pages import PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, PageRequest


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
