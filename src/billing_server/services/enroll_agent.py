"""Enrolling an agent: a name, an id, and a token that is shown once."""

import re
from dataclasses import dataclass
from enum import Enum

from billing_server.domain.ports.agents import Agent
from billing_server.services.api_keys import make_secret, sha256_of_secret
from billing_server.services.context import ServiceContext
from billing_server.services.pages import Page, PageRequest, page_from
from metering.errors import AlreadyExistsError, ValidationError

AGENT_TOKEN_PREFIX = "mat_"  # noqa: S105 - how tokens begin, not one
AGENT_ID_PREFIX = "agt"
AGENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class EnrolledAgent:
    """A new agent with its token."""

    agent: Agent
    """As it is kept."""
    token: str
    """What the agent shows to the server; only its hash is kept, so it cannot be shown again."""


class Staying(Enum):
    """Whether an agent is expected to come back after a long silence."""

    LASTING = "lasting"
    EPHEMERAL = "ephemeral"
    """It comes and goes, as a pod does: it counts as lost after an hour of silence."""


def enroll_agent(
    context: ServiceContext, *, name: str, staying: Staying = Staying.LASTING
) -> EnrolledAgent:
    """Make an agent and its token.

    Args:
        context: the world.
        name: unique, 1..64 letters, digits, dots, dashes and underscores.
        staying: when it counts as lost.

    Raises:
        ValidationError: AGENT_NAME_MALFORMED.
        AlreadyExistsError: AGENT_NAME_TAKEN.
    """
    if not AGENT_NAME.fullmatch(name):
        raise ValidationError(
            reason="AGENT_NAME_MALFORMED",
            message="name: an agent's name has 1 to 64 letters, digits, dots, dashes and "
            "underscores, and begins with a letter or digit",
        )
    token = make_secret(context, prefix=AGENT_TOKEN_PREFIX)
    with context.store.write() as unit:
        if unit.agents.by_name(name) is not None:
            raise AlreadyExistsError(
                reason="AGENT_NAME_TAKEN",
                message=f"an agent named {name!r} is enrolled already and its token is not kept: "
                "use the token file that was written then, make another token with "
                f"`billing-server agent rotate {name}`, or enroll under another name",
                metadata={"name": name},
            )
        agent = unit.agents.enroll(
            agent_id=context.new_id(AGENT_ID_PREFIX),
            name=name,
            token_sha256=sha256_of_secret(token),
            create_time=context.clock.now(),
            is_ephemeral=staying is Staying.EPHEMERAL,
        )
    return EnrolledAgent(agent=agent, token=token)


def list_agents(context: ServiceContext, *, page: PageRequest) -> Page[Agent]:
    """List agents by name."""
    with context.store.read() as unit:
        found = unit.agents.page(after=page.after, limit=page.limit + 1)
    return page_from(found, request=page, key=lambda agent: agent.name)
