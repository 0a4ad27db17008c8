"""The port of agents: who may ship usage, and how far each has come."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An agent as the server knows it: a few hundred bytes, whatever the traffic."""

    ref: int
    """Small number that stands for the agent in event rows; given by the store."""
    agent_id: str
    """Identity, unique."""
    name: str
    """For people, unique: as it was enrolled."""
    token_sha256: str
    """SHA-256 of the token in hexadecimal digits; the token itself is never stored."""
    disk_id: bytes | None = None
    """Disk of the current session; None before the first."""
    session_no: int = 0
    """Current session, >= 1; 0 before the first. Calls of any other session are fenced."""
    session_nonce: bytes | None = None
    """Nonce by which the current session was opened."""
    sync_no: int = 0
    """The agent's own count of sessions and syncs, as last accepted. >= 0."""
    applied_seq: int = 0
    """Highest position that has been applied. >= 0."""
    oldest_unshipped_event_time: datetime | None = None
    """Event time of the oldest event that the agent still holds, as it last said."""
    last_seen: datetime | None = None
    """When the agent was last heard."""
    agent_version: str | None = None
    """Version of its program, as it last said."""
    create_time: datetime
    """When it was enrolled."""
    revoke_time: datetime | None = None
    """When its token was revoked; None: it is valid."""
    parent_ref: int | None = None
    """The enrolled agent of whose disks this is another one; None: it is the enrolled one."""
    reported_next_seq: int = 0
    """Position of its next event, as it last said; 0: it never did."""
    sync_nonce: bytes | None = None
    """Nonce of the last session or sync of leases that was answered."""
    previous_sync_nonce: bytes | None = None
    """That of the number before it, which an acquisition may still name."""
    sync_time: datetime | None = None
    """When leases were last synced; None: never."""
    answer_no: int = 0
    """Number of the last round of a session or sync that may have answered it. >= 0."""
    session_incarnation: str | None = None
    """The server's incarnation in which its session was opened."""
    is_ephemeral: bool = False
    """Whether it comes and goes: it is given up after an hour of silence."""
    forget_time: datetime | None = None
    """When it was declared lost, which makes its leases presumed used; None: it was not."""

    @property
    def reported_unshipped_count(self) -> int:
        """Events that it held and had not shipped by its last report."""
        return max(0, self.reported_next_seq - 1 - self.applied_seq)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSession:
    """What opening a session writes."""

    disk_id: bytes
    """Identity of the agent's disk."""
    session_no: int
    """Number of the session, >= 1."""
    session_nonce: bytes
    """Nonce that opened it."""
    sync_no: int
    """The agent's own count. >= 0."""
    applied_seq: int
    """Highest position applied, declared losses included. >= 0."""
    oldest_unshipped_event_time: datetime | None
    """As the agent said."""
    last_seen: datetime
    """Now."""
    agent_version: str
    """As the agent said."""
    reported_next_seq: int = 0
    """As the agent said."""
    incarnation: str = ""
    """The server's, in which it is opened."""
    sync_time: datetime | None = None
    """When leases were last heard of; None: never."""


class LossCause(StrEnum):
    """Why positions are lost."""

    DECLARED = "declared"
    """The agent was asked for them and no longer had them."""
    DISK_LOST = "disk_lost"
    """It came back without its disk; its last report had them unshipped."""


@dataclass(frozen=True, slots=True)
class DeclaredLoss:
    """Positions that nobody can send any more."""

    agent_id: str
    """Whose."""
    from_seq: int
    """First position lost. >= 1."""
    to_seq: int
    """Last position lost, inclusive."""
    declare_time: datetime
    """When the agent said so."""
    cause: LossCause = LossCause.DECLARED
    """Why."""

    @property
    def event_count(self) -> int:
        """Events lost."""
        return self.to_seq - self.from_seq + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """What makes an agent one that may still hold usage."""

    event_time_before: datetime
    """It says that it holds events older than this."""
    seen_since: datetime
    """One that was not heard since is given up."""
    reported_since: datetime | None
    """One whose last report is older lags as well; None: it does not."""


class AgentRepository(Protocol):
    """Agents by id, name and token."""

    def incarnation(self) -> str:
        """Return the identity of this database's data."""

    def incarnation_time(self) -> datetime | None:
        """Return when the identity was renewed; None: never."""

    def renew_incarnation(self, incarnation: str, *, at: datetime) -> None:
        """Give the data a new identity, because they went back to a backup."""

    def enroll(
        self,
        *,
        agent_id: str,
        name: str,
        token_sha256: str,
        create_time: datetime,
        is_ephemeral: bool = False,
    ) -> Agent:
        """Write a new agent.

        Raises:
            AlreadyExistsError: AGENT_NAME_TAKEN.
        """

    def replace_token(self, agent_id: str, *, token_sha256: str) -> None:
        """Give an agent another token; the old one is refused from then on."""

    def revoke(self, agent_id: str, *, at: datetime) -> None:
        """Refuse an agent's token from then on, until it is given another one."""

    def by_token_sha256(self, token_sha256: str) -> Agent | None:
        """Return the agent with this token; None where it is unknown or revoked."""

    def ever_with_token_sha256(self, token_sha256: str) -> Agent | None:
        """Return the agent whose token this is, also where it was revoked."""

    def get(self, agent_id: str) -> Agent | None:
        """Return an agent by id."""

    def by_name(self, name: str) -> Agent | None:
        """Return an agent by name."""

    def page(self, *, after: str | None, limit: int) -> tuple[Agent, ...]:
        """Return up to `limit` agents by name, those after the name `after`."""

    def lock(self, agent_id: str) -> Agent | None:
        """Return an agent and hold it until the end of the unit of work."""

    def disk(self, enrolled: Agent, *, disk_id: bytes) -> Agent | None:
        """Return what is known of a disk of an enrolled agent."""

    def add_disk(
        self, enrolled: Agent, *, agent_id: str, name: str, create_time: datetime
    ) -> Agent:
        """Write a further disk of an enrolled agent, without a session."""

    def retire_disk(self, enrolled: Agent, *, agent_id: str, name: str) -> None:
        """Keep what is known of an enrolled agent's disk beside it: another one takes its place."""

    def open_session(self, agent_id: str, *, session: AgentSession) -> None:
        """Write a new session over the old one."""

    def advance(
        self,
        agent_id: str,
        *,
        applied_seq: int,
        oldest_unshipped_event_time: datetime | None,
        last_seen: datetime,
        reported_next_seq: int = 0,
    ) -> None:
        """Write how far an agent has come."""

    def by_refs(self, refs: Collection[int]) -> dict[int, Agent]:
        """Return disks by their small number."""

    def note_sync(self, disk: Agent, *, sync_no: int, nonce: bytes, at: datetime) -> int:
        """Write that a sync of leases was heard; a number that is not newer stays.

        Args:
            disk: as it is kept.
            sync_no: of the sync.
            nonce: of the sync.
            at: when.

        Returns:
            The number that an answer to it bears.
        """

    def note_answer(self, disk: Agent) -> int:
        """Write that a disk, as it is kept, is answered; return the number of the answer."""

    def forget(self, disk: Agent, *, at: datetime) -> None:
        """Write that a disk was declared lost; a session of it takes that back."""

    def unheard(self, incarnation: str) -> tuple[int, ...]:
        """Return agents and disks that have opened no session of an incarnation, or none at all."""

    def declare_loss(self, loss: DeclaredLoss) -> None:
        """Write down positions that are lost."""

    def losses(self, *, limit: int, agent_id: str | None = None) -> tuple[DeclaredLoss, ...]:
        """Return the newest losses, of one agent or all, newest first."""

    def lost_counts(self, agent_ids: Collection[str]) -> dict[str, int]:
        """Return events lost in all, by agent; agents without a loss are left out."""

    def note_carried(
        self, agent_ref: int, *, customer_ids: Collection[str], carry_time: datetime
    ) -> None:
        """Write down that an agent has carried usage of customers."""

    def customers_held_back(self, customer_ids: Collection[str], *, lag: Lag) -> frozenset[str]:
        """Return those of the customers of whom an agent that lags has carried usage."""

    def lagging(self, customer_id: str, *, lag: Lag) -> tuple[str, ...]:
        """Return the names of agents that lag and have carried usage of a customer."""
