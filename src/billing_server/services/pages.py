"""Pages of lists: bounded, in a stable order, walked by a cursor."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from metering.errors import ValidationError

PAGE_LIMIT_DEFAULT = 50
"""Entries of a page where the caller names no limit."""
PAGE_LIMIT_MAX = 200
"""Entries of the longest page: lists are bounded in memory and in time."""

Entry = TypeVar("Entry")
Shown = TypeVar("Shown")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page of a list is wanted."""

    cursor: str | None = None
    """`next_cursor` of the page before; None: the first page."""
    limit: int = PAGE_LIMIT_DEFAULT
    """Entries, 1..200."""

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= PAGE_LIMIT_MAX:
            raise ValidationError(
                reason="LIMIT_OUT_OF_RANGE", message=f"limit must be 1 to {PAGE_LIMIT_MAX}"
            )

    @property
    def after(self) -> str | None:
        """Return the key after which the page begins."""
        return None if self.cursor is None else _key_from_cursor(self.cursor)


@dataclass(frozen=True, slots=True)
class Page(Generic[Entry]):
    """Some entries of a list, and where the rest begins."""

    entries: tuple[Entry, ...]
    """In the order of the list."""
    next_cursor: str | None
    """Hand it in for the next page; None: this was the last one."""

    def map(self, show: Callable[[Entry], Shown]) -> "Page[Shown]":
        """Return the page with each entry shown in another form."""
        return Page(tuple(show(entry) for entry in self.entries), self.next_cursor)


def page_from(
    found: Sequence[Entry], *, request: PageRequest, key: Callable[[Entry], str]
) -> Page[Entry]:
    """Cut a page from what was read.

    Args:
        found: up to `request.limit + 1` entries: the one too many tells that there are more.
        request: what was asked for.
        key: what the list is ordered by.
    """
    entries = tuple(found[: request.limit])
    has_more = len(found) > request.limit
    return Page(entries, cursor_from_key(key(entries[-1])) if has_more else None)


def cursor_from_key(key: str) -> str:
    """Return the cursor of the page that begins behind a key."""
    return urlsafe_b64encode(key.encode()).rstrip(b"=").decode()


def _key_from_cursor(cursor: str) -> str:
    try:
        key = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        key = ""
    if not key or not key.isprintable():
        raise ValidationError(
            reason="CURSOR_MALFORMED",
            message="cursor is not one that a list has given; start again without it",
        )
    return key
