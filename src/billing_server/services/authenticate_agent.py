"""Telling which agent calls, by its token alone."""

import hmac

from billing_server.domain.ports.agents import Agent
from billing_server.domain.ports.unit_of_work import Store
from billing_server.services.api_keys import sha256_of_secret
from metering.errors import AuthenticationError

ENROLL_REMEDY = (
    "make one with `billing-server agent enroll NAME` and give it to the agent with --token-file"
)


def authenticate_agent(store: Store, *, token: str | None) -> Agent:
    """Returns the agent that a token names.

    Raises:
        AuthenticationError: TOKEN_MISSING or TOKEN_UNKNOWN; the message says what to do.
    """
    if not token:
        raise AuthenticationError(
            reason="TOKEN_MISSING", message=f"the call carries no agent token: {ENROLL_REMEDY}"
        )
    sha256 = sha256_of_secret(token)
    with store.read() as unit:
        agent = unit.agents.by_token_sha256(sha256)
    # The look-up goes by the hash of a secret of 256 bits, and the hashes are compared in a time
    # that does not depend on where they differ.
    if agent is None or not hmac.compare_digest(agent.token_sha256, sha256):
        raise AuthenticationError(
            reason="TOKEN_UNKNOWN",
            message="the agent's token is unknown to this server, or was revoked: "
            f"{ENROLL_REMEDY}; also check that the agent talks to the right server",
        )
    return agent
