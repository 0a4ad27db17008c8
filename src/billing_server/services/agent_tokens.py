"""Rotating and revoking tokens of agents: told in the audit and the log, without the token."""

from dataclasses import replace

import structlog

from billing_server.domain.ports.agents import Agent
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.services.api_keys import make_secret, sha256_of_secret
from billing_server.services.audit import SERVER, note_action
from billing_server.services.context import ServiceContext
from billing_server.services.enroll_agent import AGENT_NAME, AGENT_TOKEN_PREFIX, EnrolledAgent
from metering.errors import NotFoundError

log = structlog.get_logger(__name__)


def rotate_agent_token(context: ServiceContext, *, name: str, actor: str = SERVER) -> EnrolledAgent:
    """Give an agent another token; the old one, or a revoked one, is refused from then on.

    The agent keeps its id, its positions and its buffer: once the new token lies in its token file
    it goes on where it was.

    Args:
        context: the world.
        name: as enrolled.
        actor: who does it.

    Raises:
        NotFoundError: AGENT_UNKNOWN.
    """
    token = make_secret(context, prefix=AGENT_TOKEN_PREFIX)
    sha256 = sha256_of_secret(token)
    with context.store.write() as unit:
        agent = _enrolled(unit, name=name)
        unit.agents.replace_token(agent.agent_id, token_sha256=sha256)
        _note(unit, context=context, actor=actor, action="agent.rotate", agent=agent)
    log.info("agent_token_rotated", agent_id=agent.agent_id, name=name)
    return EnrolledAgent(agent=replace(agent, token_sha256=sha256, revoke_time=None), token=token)


def revoke_agent(context: ServiceContext, *, name: str, actor: str = SERVER) -> Agent:
    """Refuse an agent's token from now on; what it has shipped stays counted.

    Invoices no longer wait for what it may still hold. It may be let in again with another token:
    see `rotate_agent_token`.

    Args:
        context: the world.
        name: as enrolled.
        actor: who does it.

    Raises:
        NotFoundError: AGENT_UNKNOWN.
    """
    now = context.wall_clock.now()
    with context.store.write() as unit:
        agent = _enrolled(unit, name=name)
        if agent.revoke_time is not None:
            return agent
        unit.agents.revoke(agent.agent_id, at=now)
        _note(unit, context=context, actor=actor, action="agent.revoke", agent=agent)
    log.warning(
        "agent_revoked",
        agent_id=agent.agent_id,
        name=name,
        applied_seq=agent.applied_seq,
    )
    return replace(agent, revoke_time=now)


def _note(
    unit: UnitOfWork, *, context: ServiceContext, actor: str, action: str, agent: Agent
) -> None:
    detail = {"agent": agent.agent_id, "was_revoked": agent.revoke_time is not None}
    note_action(
        unit, context=context, actor=actor, action=action, subject=agent.name, detail=detail
    )


def _enrolled(unit: UnitOfWork, *, name: str) -> Agent:
    # Names of further disks of an agent are no names that anyone could enroll: they have no token.
    agent = unit.agents.by_name(name) if AGENT_NAME.fullmatch(name) else None
    if agent is None:
        raise NotFoundError(
            reason="AGENT_UNKNOWN",
            message=f"no agent is enrolled as {name!r}: see `billing-server agents list`",
        )
    return agent
