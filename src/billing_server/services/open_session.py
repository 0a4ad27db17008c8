"""Opening a session: both sides tell where they stand, and older sessions are fenced off.

What to do is decided by `domain.session`; here it is read, written and logged, in one transaction.
"""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from billing_server.domain.ports.agents import Agent, AgentSession, DeclaredLoss, LossCause
from billing_server.domain.ports.unit_of_work import Store, UnitOfWork
from billing_server.domain.session.opening import (
    Opening,
    OpeningAction,
    OpeningDecision,
    decide_opening,
)
from billing_server.services.enroll_agent import AGENT_ID_PREFIX
from billing_server.services.lease_desk import (
    LEASES_AT_ONCE,
    ToldLease,
    hold_accounts,
    stream_of,
)
from billing_server.services.lease_reports import ReportedLease, apply_reports
from billing_server.services.sync_answer import tell_leases
from metering.clock import Clock
from metering.errors import AuthenticationError, InvalidStateError, ValidationError
from metering.ids import prefixed_id

NONCE_BYTES = 16
"""Length of a disk id and of a nonce: 128 random bits."""
DISK_NAME_DIGITS = 12
"""Digits of a disk id that tell an agent's disks apart in lists."""

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
    applied_seq: int = 0
    """Highest position that it knows to be applied, by its own acks. >= 0."""
    next_seq: int = 0
    """Position of its next event; 0 from agents that do not tell."""
    server_incarnation: str = ""
    """The server's, as it last heard it; empty before its first session."""
    previous_disk_id: bytes = b""
    """Disk id that it gave up because it was taken; empty where there was none."""
    has_leases: bool = False
    """Whether it takes part in leases."""
    leases: tuple[ReportedLease, ...] = ()
    """Every lease on its record."""

    def __post_init__(self) -> None:
        for name, value in (("disk_id", self.disk_id), ("nonce", self.nonce)):
            if len(value) != NONCE_BYTES:
                raise ValidationError(
                    reason="SESSION_REQUEST_MALFORMED",
                    message=f"{name} has {len(value)} bytes; it has {NONCE_BYTES} random ones",
                )
        if len(self.previous_disk_id) not in (0, NONCE_BYTES):
            raise ValidationError(
                reason="SESSION_REQUEST_MALFORMED",
                message=f"previous_disk_id has {len(self.previous_disk_id)} bytes; it has "
                f"{NONCE_BYTES}, or none",
            )
        if min(self.sync_no, self.applied_seq, self.next_seq) < 0 or self.earliest_kept_seq < 1:
            raise ValidationError(
                reason="SESSION_REQUEST_MALFORMED",
                message="sync_no, applied_seq and next_seq are 0 or more, and earliest_kept_seq is "
                "1 or more",
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
    leases: tuple[ToldLease, ...] = ()
    """The disk's leases as the server has them."""
    answer_no: int = 0
    """To be named in the first sync; 0: it takes no part in leases."""


def open_session(
    store: Store, *, clock: Clock, agent: Agent, request: SessionRequest
) -> OpenedSession:
    """Opens a session of an agent's disk, or repeats the answer to the same attempt.

    Raises:
        AuthenticationError: TOKEN_UNKNOWN, the agent was removed or revoked meanwhile.
        InvalidStateError: IDENTITY_TAKEN where the disk's own count does not go on from what this
            server has heard: a late double, a disk that went back, or a copy. Nothing changes.
    """
    now = clock.now()
    with store.write() as unit:
        enrolled = unit.agents.lock(agent.agent_id)
        if enrolled is None or enrolled.revoke_time is not None:
            raise AuthenticationError(
                reason="TOKEN_UNKNOWN", message="the agent was removed: enroll it again"
            )
        incarnation = unit.agents.incarnation()
        known = unit.agents.disk(enrolled, disk_id=request.disk_id)
        previous = unit.agents.disk(enrolled, disk_id=request.previous_disk_id)
        decision = decide_opening(
            _opening(request),
            incarnation=incarnation,
            stream=stream_of(known),
            previous=stream_of(previous),
        )
        if decision.action is OpeningAction.TAKEN:
            raise _identity_taken(request, known=known)
        if decision.is_server_behind:
            incarnation = _renew_incarnation(unit, agent=enrolled, now=now)
        disk = known or _place_for_disk(
            unit, enrolled=enrolled, action=decision.action, request=request, now=now
        )
        _note_loss(unit, agent=disk, decision=decision, now=now)
        session_no = disk.session_no
        is_repeat = decision.action is OpeningAction.REPEAT
        if not is_repeat:
            session_no = max(enrolled.session_no, disk.session_no) + 1
        # A restored server waits to hear of this disk; the backup may have its very attempt.
        is_news = disk.session_incarnation != incarnation
        if not is_repeat or decision.lost is not None or is_news:
            _write_session(
                unit,
                disk=disk,
                decision=decision,
                request=request,
                no=session_no,
                incarnation=incarnation,
                now=now,
            )
        leases = _exchange_leases(unit, disk=disk, request=request, now=now)
        answer_no = unit.agents.note_answer(disk) if request.has_leases else 0
    log.info(
        "session_opened",
        agent_id=disk.agent_id,
        session_no=session_no,
        how=decision.action.value,
    )
    return OpenedSession(
        disk.agent_id, session_no, incarnation, decision.applied_seq, now, leases, answer_no
    )


def _exchange_leases(
    unit: UnitOfWork, *, disk: Agent, request: SessionRequest, now: datetime
) -> tuple[ToldLease, ...]:
    """Keeps what the agent tells of its leases, and returns them as they are kept."""
    if not request.has_leases:
        return ()
    held = unit.leases.of_agent(disk.ref)
    keys = {lease.key for lease in held} | {each.key for each in request.leases}
    hold_accounts(unit, windows=[], keys=keys, now=now)
    apply_reports(unit, agent_ref=disk.ref, reports=request.leases, now=now)
    held = unit.leases.of_agent(disk.ref)
    placed = [lease for lease in held if lease.key.limit_key]
    # What is left out is told by the syncs: until then the agent does not use it.
    unit.leases.put([replace(lease, told_in=None) for lease in placed[LEASES_AT_ONCE:]])
    return tell_leases(unit, leases=placed[:LEASES_AT_ONCE], sync_no=request.sync_no, now=now)


def _opening(request: SessionRequest) -> Opening:
    return Opening(
        disk_id=request.disk_id,
        nonce=request.nonce,
        sync_no=request.sync_no,
        applied_seq=request.applied_seq,
        earliest_kept_seq=request.earliest_kept_seq,
        incarnation=request.server_incarnation,
        previous_disk_id=request.previous_disk_id,
    )


def _identity_taken(request: SessionRequest, *, known: Agent | None) -> InvalidStateError:
    heard = 0 if known is None else known.sync_no
    return InvalidStateError(
        reason="IDENTITY_TAKEN",
        message=f"sync_no {request.sync_no} was used before, the last one was {heard}: this disk "
        "was rolled back or copied; open a session under a new disk_id",
        metadata={"sync_no": str(heard)},
    )


def _renew_incarnation(unit: UnitOfWork, *, agent: Agent, now: datetime) -> str:
    """Gives the data a new identity: this agent remembers more than they hold."""
    incarnation = secrets.token_hex(NONCE_BYTES)
    unit.agents.renew_incarnation(incarnation, at=now)
    log.error(
        "server_went_back",
        agent_id=agent.agent_id,
        remedy="the database is older than what agents were answered, as after a restore: every "
        "agent now sends again all that it keeps, and nothing is counted twice",
    )
    return incarnation


def _place_for_disk(
    unit: UnitOfWork,
    *,
    enrolled: Agent,
    action: OpeningAction,
    request: SessionRequest,
    now: datetime,
) -> Agent:
    """Returns the row of a disk that was not known."""
    agent_id = prefixed_id(AGENT_ID_PREFIX, secrets.token_bytes)
    if action is OpeningAction.ADD_STREAM:
        name = _disk_name(enrolled, disk_id=request.disk_id)
        log.warning("agent_copied_or_rolled_back", agent_id=enrolled.agent_id, name=name)
        return unit.agents.add_disk(enrolled, agent_id=agent_id, name=name, create_time=now)
    if enrolled.disk_id is not None:
        name = _disk_name(enrolled, disk_id=enrolled.disk_id)
        unit.agents.retire_disk(enrolled, agent_id=agent_id, name=name)
        retired = unit.agents.get(agent_id)
        if retired is not None:
            # What the old disk holds may still be used by nobody knows whom: it stays with it.
            unit.leases.move(enrolled.ref, to_ref=retired.ref)
            unit.leases.forget_agent(enrolled.ref)
            unit.limits.move_allowance_use(enrolled.ref, to_ref=retired.ref)
        _note_lost_buffer(unit, agent=enrolled, now=now)
    return enrolled


def _disk_name(enrolled: Agent, *, disk_id: bytes) -> str:
    return f"{enrolled.name}~{disk_id.hex()[:DISK_NAME_DIGITS]}"


def _note_lost_buffer(unit: UnitOfWork, *, agent: Agent, now: datetime) -> None:
    lost = agent.reported_unshipped_count
    if not lost:
        log.warning("agent_came_back_on_another_disk", agent_id=agent.agent_id, name=agent.name)
        return
    unit.agents.declare_loss(
        DeclaredLoss(
            agent.agent_id,
            agent.applied_seq + 1,
            agent.reported_next_seq - 1,
            now,
            LossCause.DISK_LOST,
        )
    )
    log.error(
        "agent_came_back_without_its_buffer",
        agent_id=agent.agent_id,
        name=agent.name,
        unshipped=lost,
        last_report=agent.last_seen,
    )


def _note_loss(unit: UnitOfWork, *, agent: Agent, decision: OpeningDecision, now: datetime) -> None:
    """Writes down the positions that nobody can send any more."""
    if decision.lost is None:
        return
    loss = DeclaredLoss(agent.agent_id, *decision.lost, now)
    unit.agents.declare_loss(loss)
    log.error(
        "usage_lost_at_agent",
        agent_id=agent.agent_id,
        from_seq=loss.from_seq,
        to_seq=loss.to_seq,
    )


def _write_session(
    unit: UnitOfWork,
    *,
    disk: Agent,
    decision: OpeningDecision,
    request: SessionRequest,
    no: int,
    incarnation: str,
    now: datetime,
) -> None:
    unit.agents.open_session(
        disk.agent_id,
        session=AgentSession(
            disk_id=request.disk_id,
            session_no=no,
            session_nonce=request.nonce,
            sync_no=request.sync_no,
            applied_seq=decision.applied_seq,
            oldest_unshipped_event_time=request.oldest_unshipped_event_time,
            last_seen=now,
            agent_version=request.agent_version,
            reported_next_seq=request.next_seq,
            incarnation=incarnation,
            sync_time=now if request.has_leases else disk.sync_time,
        ),
    )
