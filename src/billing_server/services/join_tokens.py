"""Join tokens: made, listed and revoked. Told in the audit and the log, without the token."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import structlog

from billing_server.domain.ports.join_tokens import JoinToken
from billing_server.services.api_keys import make_secret, sha256_of_secret
from billing_server.services.audit import SERVER, note_action
from billing_server.services.context import ServiceContext
from billing_server.services.enroll_agent import AGENT_NAME, Staying
from billing_server.services.pages import Page, PageRequest, page_from
from metering.errors import NotFoundError, ValidationError

JOIN_TOKEN_PREFIX: Final = "mjt_"  # noqa: S105 - how tokens begin, not one
JOIN_TOKEN_ID_PREFIX: Final = "jtk"  # noqa: S105 - how ids begin
FLEET_LENGTH_MAX: Final = 32
"""Characters of a fleet's name: the host's name follows in the names of its agents."""
TTL_MIN: Final = timedelta(minutes=1)
TTL_MAX: Final = timedelta(days=366)
AGENT_COUNT_MAX: Final = 100_000
"""Most agents that one join token may let in."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MadeJoinToken:
    """A new join token with what hosts show."""

    join_token: JoinToken
    """As it is kept."""
    token: str
    """What hosts show to the server; only its hash is kept, so it cannot be shown again."""


def make_join_token(
    context: ServiceContext,
    *,
    fleet: str,
    ttl: timedelta,
    agent_count_max: int,
    staying: Staying = Staying.LASTING,
    actor: str = SERVER,
) -> MadeJoinToken:
    """Make a token by which up to so many hosts enroll themselves.

    Args:
        context: the world.
        fleet: 1..32 characters of an agent's name; the names of its agents begin with it.
        ttl: how long hosts may join by it, in real time, a minute to 366 days.
        agent_count_max: 1..100,000.
        staying: when its agents count as lost.
        actor: who does it.

    Raises:
        ValidationError: FLEET_NAME_MALFORMED or JOIN_TOKEN_OUT_OF_RANGE.
    """
    _check(fleet, ttl=ttl, agent_count_max=agent_count_max)
    token = make_secret(context, prefix=JOIN_TOKEN_PREFIX)
    now = context.wall_clock.now()
    made = JoinToken(
        join_token_id=context.new_id(JOIN_TOKEN_ID_PREFIX),
        fleet=fleet,
        token_sha256=sha256_of_secret(token),
        create_time=now,
        expire_time=now + ttl,
        agent_count_max=agent_count_max,
        is_ephemeral=staying is Staying.EPHEMERAL,
    )
    with context.store.write() as unit:
        unit.join_tokens.add(made)
        note_action(
            unit,
            context=context,
            actor=actor,
            action="join_token.make",
            subject=made.join_token_id,
            detail={"fleet": fleet, "max_agents": agent_count_max},
        )
    log.info("join_token_made", join_token_id=made.join_token_id, fleet=fleet)
    return MadeJoinToken(join_token=made, token=token)


def list_join_tokens(context: ServiceContext, *, page: PageRequest) -> Page[JoinToken]:
    """List join tokens in the order of their ids, those that let nobody in any longer included."""
    with context.store.read() as unit:
        found = unit.join_tokens.page(after=page.after, limit=page.limit + 1)
    return page_from(found, request=page, key=lambda each: each.join_token_id)


def revoke_join_token(
    context: ServiceContext, *, join_token_id: str, actor: str = SERVER
) -> JoinToken:
    """Let nobody join by a token from now on; who has joined by it stays.

    Args:
        context: the world.
        join_token_id: as listed.
        actor: who does it.

    Raises:
        NotFoundError: JOIN_TOKEN_ID_UNKNOWN.
    """
    now = context.wall_clock.now()
    with context.store.write() as unit:
        found = unit.join_tokens.lock(join_token_id)
        if found is None:
            raise NotFoundError(
                reason="JOIN_TOKEN_ID_UNKNOWN",
                message=f"there is no join token {join_token_id!r}: see `billing-server agent "
                "join-tokens` for their ids, which are not the tokens themselves",
            )
        if found.revoke_time is not None:
            return found
        unit.join_tokens.revoke(join_token_id, at=now)
        note_action(
            unit,
            context=context,
            actor=actor,
            action="join_token.revoke",
            subject=join_token_id,
            detail={"fleet": found.fleet, "joined": found.agent_count},
        )
    log.warning("join_token_revoked", join_token_id=join_token_id, fleet=found.fleet)
    return replace(found, revoke_time=now)


def _check(fleet: str, *, ttl: timedelta, agent_count_max: int) -> None:
    if not AGENT_NAME.fullmatch(fleet) or len(fleet) > FLEET_LENGTH_MAX:
        raise ValidationError(
            reason="FLEET_NAME_MALFORMED",
            message=f"name: a fleet's name has 1 to {FLEET_LENGTH_MAX} letters, digits, dots, "
            "dashes and underscores, and begins with a letter or digit",
        )
    if not TTL_MIN <= ttl <= TTL_MAX:
        raise ValidationError(
            reason="JOIN_TOKEN_OUT_OF_RANGE",
            message="expires: hosts may join by a token for a minute to 366 days",
        )
    if not 1 <= agent_count_max <= AGENT_COUNT_MAX:
        raise ValidationError(
            reason="JOIN_TOKEN_OUT_OF_RANGE",
            message=f"max agents: 1 to {AGENT_COUNT_MAX:,} agents may join by a token",
        )
