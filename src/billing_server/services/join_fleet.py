"""A host enrolls itself by a join token, under a token of its own that it has made.

The host keeps the secret and sends its hash: a repeat of the call finds the agent that the first
one made, so an answer that was lost costs no second place, and no secret travels or is stored.
"""

import hmac
import re
from datetime import datetime
from typing import Final

import structlog

from billing_server.domain.ports.agents import Agent
from billing_server.domain.ports.join_tokens import Closed, JoinToken
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.services.api_keys import sha256_of_secret
from billing_server.services.audit import note_action
from billing_server.services.context import ServiceContext
from billing_server.services.enroll_agent import AGENT_ID_PREFIX
from metering.errors import AuthenticationError, ValidationError

SHA256_BYTES: Final = 32
HOST_NAME_LENGTH_MAX: Final = 253
"""As long as names of hosts may be."""
NAME_LENGTH_MAX: Final = 64
SUFFIX_DIGITS: Final = 8
MAKE_REMEDY: Final = "make one with `billing-server agent enroll NAME --fleet`"

_WHY: Final = {
    Closed.REVOKED: "was revoked",
    Closed.EXPIRED: "has expired",
    Closed.USED_UP: "has let in as many agents as it may",
}

log = structlog.get_logger(__name__)


def join_fleet(
    context: ServiceContext, *, token: str | None, token_sha256: bytes, host_name: str
) -> Agent:
    """Enroll the host that calls, or find it where it has joined before.

    Args:
        context: the world.
        token: the join token.
        token_sha256: SHA-256 of the agent's own token, 32 bytes.
        host_name: of the host, at most 253 characters; what no name may hold becomes a dash.

    Raises:
        AuthenticationError: JOIN_TOKEN_MISSING or JOIN_TOKEN_UNKNOWN; and to who has the token
            JOIN_TOKEN_REVOKED, JOIN_TOKEN_EXPIRED, JOIN_TOKEN_USED_UP or AGENT_REVOKED.
        ValidationError: JOIN_REQUEST_MALFORMED.
        AlreadyExistsError: AGENT_NAME_TAKEN, another call took the name in this moment.
    """
    known = _known(context, token=token)
    if len(token_sha256) != SHA256_BYTES or len(host_name) > HOST_NAME_LENGTH_MAX:
        raise ValidationError(
            reason="JOIN_REQUEST_MALFORMED",
            message=f"token_sha256 has {SHA256_BYTES} bytes, host_name at most "
            f"{HOST_NAME_LENGTH_MAX} characters",
        )
    sha256 = token_sha256.hex()
    with context.store.write() as unit:
        # Held: of two hosts that want the last place one gets it, and of two calls of one host
        # the second finds the agent of the first.
        held = unit.join_tokens.lock(known.join_token_id) or known
        joined = unit.agents.ever_with_token_sha256(sha256)
        if joined is not None:
            return _not_revoked(joined)
        _refuse_closed(held, now=context.wall_clock.now())
        agent = _enroll(unit, context=context, by=held, sha256=sha256, host_name=host_name)
    log.info(
        "agent_joined", agent_id=agent.agent_id, name=agent.name, join_token_id=held.join_token_id
    )
    return agent


def _known(context: ServiceContext, *, token: str | None) -> JoinToken:
    if not token:
        raise AuthenticationError(
            reason="JOIN_TOKEN_MISSING", message=f"the call carries no join token: {MAKE_REMEDY}"
        )
    sha256 = sha256_of_secret(token)
    with context.store.read() as unit:
        found = unit.join_tokens.by_token_sha256(sha256)
    if found is None or not hmac.compare_digest(found.token_sha256, sha256):
        # The same for whatever is no join token of this server: nothing is to be learned by trying.
        raise AuthenticationError(
            reason="JOIN_TOKEN_UNKNOWN",
            message=f"this server knows no such join token: {MAKE_REMEDY}; also check that the "
            "agent talks to the right server",
        )
    return found


def _not_revoked(agent: Agent) -> Agent:
    if agent.revoke_time is not None:
        raise AuthenticationError(
            reason="AGENT_REVOKED",
            message=f"this host has joined as {agent.name!r}, which was revoked: let it in again "
            f"with `billing-server agent rotate {agent.name}`",
        )
    return agent


def _refuse_closed(held: JoinToken, *, now: datetime) -> None:
    closed = held.closed(now)
    if closed is None:
        return
    raise AuthenticationError(
        reason=f"JOIN_TOKEN_{closed.name}",
        message=f"the join token {held.join_token_id} of the fleet {held.fleet!r} {_WHY[closed]}: "
        f"make another one with `billing-server agent enroll {held.fleet} --fleet`",
    )


def _enroll(
    unit: UnitOfWork, *, context: ServiceContext, by: JoinToken, sha256: str, host_name: str
) -> Agent:
    agent = unit.agents.enroll(
        agent_id=context.new_id(AGENT_ID_PREFIX),
        name=_free_name(unit, fleet=by.fleet, host_name=host_name, sha256=sha256),
        token_sha256=sha256,
        create_time=context.clock.now(),
        is_ephemeral=by.is_ephemeral,
    )
    unit.join_tokens.note_joined(by.join_token_id)
    note_action(
        unit,
        context=context,
        actor=by.join_token_id,
        action="agent.join",
        subject=agent.name,
        detail={"agent": agent.agent_id, "fleet": by.fleet},
    )
    return agent


def _free_name(unit: UnitOfWork, *, fleet: str, host_name: str, sha256: str) -> str:
    """Return `FLEET-HOST`, and where an agent has that name already `FLEET-HOST-` and 8 digits."""
    host = re.sub(r"[^A-Za-z0-9._-]+", "-", host_name).strip("-")
    name = f"{fleet}-{host}"[:NAME_LENGTH_MAX] if host else fleet
    if unit.agents.by_name(name) is None:
        return name
    return f"{name[: NAME_LENGTH_MAX - SUFFIX_DIGITS - 1]}-{sha256[:SUFFIX_DIGITS]}"
