"""The port of join tokens: each lets the hosts of a fleet enroll themselves."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol


class Closed(Enum):
    """Why nobody joins by a token any longer."""

    REVOKED = "revoked"
    EXPIRED = "expired"
    USED_UP = "used_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinToken:
    """A join token as it is kept: the token itself is shown once and never stored."""

    join_token_id: str
    """Identity, unique."""
    fleet: str
    """Name that the names of its agents begin with; several join tokens may share it."""
    token_sha256: str
    """SHA-256 of the token in hexadecimal digits."""
    create_time: datetime
    """When it was made."""
    expire_time: datetime
    """From when on nobody joins by it."""
    agent_count_max: int
    """Most agents that may join by it, >= 1."""
    agent_count: int = 0
    """Agents that have joined by it, those revoked or forgotten since included. >= 0."""
    revoke_time: datetime | None = None
    """When it was revoked; None: it was not."""
    is_ephemeral: bool = False
    """Whether its agents come and go: each is given up after an hour of silence."""

    def closed(self, now: datetime) -> Closed | None:
        """Return why nobody joins by it at an instant; None: hosts may."""
        if self.revoke_time is not None:
            return Closed.REVOKED
        if now >= self.expire_time:
            return Closed.EXPIRED
        return Closed.USED_UP if self.agent_count >= self.agent_count_max else None


class JoinTokenRepository(Protocol):
    """Join tokens by id and by the hash of the token."""

    def add(self, added: JoinToken) -> None:
        """Write a new join token."""

    def get(self, join_token_id: str) -> JoinToken | None:
        """Return a join token by id."""

    def by_token_sha256(self, token_sha256: str) -> JoinToken | None:
        """Return the join token with this hash, whatever became of it."""

    def lock(self, join_token_id: str) -> JoinToken | None:
        """Return a join token and hold it until the end of the unit of work."""

    def note_joined(self, join_token_id: str) -> None:
        """Count one more agent that has joined."""

    def revoke(self, join_token_id: str, *, at: datetime) -> None:
        """Refuse a join token from then on."""

    def page(self, *, after: str | None, limit: int) -> tuple[JoinToken, ...]:
        """Return up to `limit` join tokens by id, those after the id `after`."""
