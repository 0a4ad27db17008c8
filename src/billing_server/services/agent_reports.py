"""How agents stand, with what was lost on the way."""

from dataclasses import dataclass
from datetime import datetime

from billing_server.domain.ports.agents import Agent, DeclaredLoss
from billing_server.services.context import ServiceContext
from billing_server.services.enroll_agent import list_agents
from billing_server.services.pages import Page, PageRequest
from metering.errors import NotFoundError

LOSSES_SHOWN = 20
"""Losses of an agent that are shown, the newest."""


@dataclass(frozen=True, slots=True)
class AgentReport:
    """An agent with what was lost on its way."""

    agent: Agent
    """The agent, or one of its disks."""
    lost_count: int
    """Events lost in all, as far as agents and server know. >= 0."""


@dataclass(frozen=True, slots=True)
class AgentDetails:
    """An agent with its newest losses, and the data that it ships into."""

    report: AgentReport
    """As in lists."""
    losses: tuple[DeclaredLoss, ...]
    """The newest first."""
    incarnation: str
    """Identity of the server's data."""
    incarnation_time: datetime | None
    """When it was renewed, because the data went back to a backup; None: never."""


def list_agent_reports(context: ServiceContext, *, page: PageRequest) -> Page[AgentReport]:
    """List agents by name, each with what it lost."""
    found = list_agents(context, page=page)
    with context.store.read() as unit:
        lost = unit.agents.lost_counts([agent.agent_id for agent in found.entries])
    return found.map(lambda agent: AgentReport(agent, lost.get(agent.agent_id, 0)))


def show_agent(context: ServiceContext, *, name: str) -> AgentDetails:
    """Show an agent by name or id.

    Raises:
        NotFoundError: AGENT_UNKNOWN.
    """
    with context.store.read() as unit:
        agent = unit.agents.by_name(name) or unit.agents.get(name)
        if agent is None:
            raise NotFoundError(
                reason="AGENT_UNKNOWN",
                message=f"no agent is named {name!r}: see `billing-server agents list`",
            )
        lost_count = unit.agents.lost_counts([agent.agent_id]).get(agent.agent_id, 0)
        return AgentDetails(
            report=AgentReport(agent, lost_count),
            losses=unit.agents.losses(limit=LOSSES_SHOWN, agent_id=agent.agent_id),
            incarnation=unit.agents.incarnation(),
            incarnation_time=unit.agents.incarnation_time(),
        )
