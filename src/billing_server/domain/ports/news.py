"""The port of news: what ends the waiting of syncs, whichever server wrote it."""

from collections.abc import Callable
from typing import Final, Protocol

EVERY_CUSTOMER: Final = ""
"""Announced in place of a customer where all of them may have news."""


def news_of_disk(disk_id: bytes) -> str:
    """Returns what is announced where an agent's disk was told something that has changed.

    It stands among ids of customers: one that reads the same is woken in vain, and no more.
    """
    return f"disk/{disk_id.hex()}"


class LeaseNews(Protocol):
    """Tells who has news of leases or of terms."""

    def listen(self, hearer: Callable[[str], None]) -> Callable[[], None]:
        """Add a hearer, called with a customer id and not blocking; return what removes it."""
