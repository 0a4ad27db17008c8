"""Opening a session: both sides tell where they stand, and older sessions are fenced off."""

from dataclasses import dataclass
from datetime import datetime

import structlog

from billing_server.domain.ports.agents import Agent, AgentSession, DeclaredLoss
from billing_server.domain.ports.unit_of_work import Store, UnitOfWork
from metering.clock import Clock
from metering.errors import AuthenticationError, InvalidStateError, ValidationError

NONCE_BYTES = 16
"""Length of a disk id and of a nonce: 128 random bits."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """Where an agent says that it stands."""

    disk_id: bytes
    """Identity of its disk, 16 bytes."""
    nonce: bytes
    """Made for this attempt, 16 bytes; a repeat with the same one gets the same session."""
    sync_no: int
    """The agent's own count of sessions and syncs, written before it is sent. >= 0."""
    earliest_kept_seq: int
    """Lowest position that it still keeps; that of its next event where it keeps none. >= 1."""
    agent_version: str = ""
    """Version of its program."""
    oldest_unshipped_event_time: datetime | None = None
    """Of the events that are not yet applied; None where there is none."""

    def __post_init__(self) -> None:
        for name, value in (("disk_id", self.disk_id), ("nonce", self.nonce)):
            if len(value) != NONCE_BYTES:
                raise ValidationError(
                    reason="SESSION_REQUEST_MALFORMED",
                    message=f"{name} has {len(value)} bytes; it has {NONCE_BYTES} random ones",
                )
        if self.sync_no < 0 or self.earliest_kept_seq < 1:
            raise ValidationError(
                reason="SESSION_REQUEST_MALFORMED",
                message="sync_no is 0 or more and earliest_kept_seq is 1 or more",
            )


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """Where the server says that it stands."""

    agent_id: str
    """Who the token named."""
    session_no: int
    """Number of the session; every later call carries it. >= 1."""
    server_incarnation: str
    """Identity of the server's data."""
    applied_seq: int
    """Highest position applied from this agent. >= 0."""
    server_time: datetime
    """Now."""


def open_session(
    store: Store, *, clock: Clock, agent: Agent, request: SessionRequest
) -> OpenedSession:
    """Opens a session of an agent, or repeats the answer of the attempt with the same nonce.

    Raises:
        InvalidStateError: IDENTITY_TAKEN where the agent's own count does not go on from what this
            server has heard: a late double, a disk that went back, or a clone. Nothing changes.
    """
    now = clock.now()
    with store.write() as unit:
        current = unit.agents.lock(agent.agent_id)
        if current is None or current.revoke_time is not None:
            raise AuthenticationError(
                reason="TOKEN_UNKNOWN", message="the agent was removed: enroll it again"
            )
        incarnation = unit.agents.incarnation()
        is_same_disk = current.disk_id == request.disk_id
        if is_same_disk and current.session_nonce == request.nonce:
            return OpenedSession(
                agent.agent_id, current.session_no, incarnation, current.applied_seq, now
            )
        if is_same_disk and request.sync_no <= current.sync_no:
            raise InvalidStateError(
                reason="IDENTITY_TAKEN",
                message=f"sync_no {request.sync_no} was used before, the last one was "
                f"{current.sync_no}: this disk was rolled back or copied; open a session under a "
                "new disk_id",
                metadata={"sync_no": str(current.sync_no)},
            )
        applied_seq = _declare_loss(unit, agent=current, request=request, now=now)
        session_no = current.session_no + 1
        unit.agents.open_session(
            agent.agent_id,
            session=AgentSession(
                disk_id=request.disk_id,
                session_no=session_no,
                session_nonce=request.nonce,
                sync_no=request.sync_no,
                applied_seq=applied_seq,
                oldest_unshipped_event_time=request.oldest_unshipped_event_time,
                last_seen=now,
                agent_version=request.agent_version,
            ),
        )
    log.info("session_opened", agent_id=agent.agent_id, session_no=session_no)
    return OpenedSession(agent.agent_id, session_no, incarnation, applied_seq, now)


def _declare_loss(unit: UnitOfWork, *, agent: Agent, request: SessionRequest, now: datetime) -> int:
    """Writes down the positions that the agent no longer has; returns what counts as applied."""
    last_lost = request.earliest_kept_seq - 1
    if last_lost <= agent.applied_seq:
        return agent.applied_seq
    loss = DeclaredLoss(agent.agent_id, agent.applied_seq + 1, last_lost, now)
    unit.agents.declare_loss(loss)
    log.error(
        "usage_lost_at_agent",
        agent_id=agent.agent_id,
        from_seq=loss.from_seq,
        to_seq=loss.to_seq,
    )
    return last_lost
