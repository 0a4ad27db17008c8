"""The ports of what the server keeps for itself: keys, its clock, remembered requests."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is kept: the key itself is shown once and never stored."""

    name: str
    """Who uses it; unique."""
    sha256: str
    """SHA-256 of the key in hexadecimal digits."""
    create_time: datetime
    """When it was made."""


class ApiKeyRepository(Protocol):
    """API keys by the hash of the key."""

    def add(self, api_key: ApiKey) -> None:
        """Write a key; one of the same name is replaced."""

    def by_sha256(self, sha256: str) -> ApiKey | None:
        """Return the key with this hash."""


@dataclass(frozen=True, slots=True)
class RememberedRequest:
    """A request that changed something, with its answer."""

    key: str
    """The caller's `Idempotency-Key`, with the path it was sent to."""
    request_sha256: str
    """Hash of the request, to tell a repeat from another request."""
    response_code: int
    """HTTP status of the answer; 0 while the request is being worked on."""
    response_body: str
    """Body of the answer as JSON text."""
    create_time: datetime
    """When the request came first."""


class IdempotencyRepository(Protocol):
    """Requests by idempotency key."""

    def get(self, key: str) -> RememberedRequest | None:
        """Return what is remembered under a key."""

    def claim(self, request: RememberedRequest) -> bool:
        """Write a request before it is worked on.

        Returns:
            False where the key is taken already; nothing is written then.
        """

    def complete(self, request: RememberedRequest) -> None:
        """Write the answer of a claimed request."""

    def release(self, key: str) -> None:
        """Forget a request, so that it may be tried again; one that is answered stays."""

    def purge(self, *, created_before: datetime, limit: int) -> int:
        """Forget up to `limit` requests older than an instant; return how many."""


class ClockRepository(Protocol):
    """The clock of a test database."""

    def test_clock(self) -> datetime | None:
        """Return where the test clock stands; None in a database that runs on real time."""

    def lock_test_clock(self) -> datetime | None:
        """Return where the test clock stands, and keep it there until the end of the unit."""

    def set_test_clock(self, instant: datetime) -> None:
        """Move the test clock."""

    def is_new(self) -> bool:
        """Tell whether no server has settled yet which clock this database runs on."""

    def settle_real_clock(self) -> None:
        """Note for good that this database runs on real time."""
