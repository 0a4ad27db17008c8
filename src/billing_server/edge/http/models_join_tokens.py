"""Bodies of requests and answers about join tokens."""

from pydantic import BaseModel, Field

from billing_server.edge.http.models_requests import RequestModel

TTL_SECONDS_DEFAULT = 30 * 86_400
MAX_AGENTS_DEFAULT = 100


class MakeJoinTokenRequest(RequestModel):
    """A new join token."""

    fleet: str = Field(
        min_length=1,
        description="What the names of its agents begin with; 1 to 32 letters, digits, dots, "
        "dashes and underscores. Several join tokens may share it.",
        examples=["gpu"],
    )
    ttl_seconds: int = Field(
        default=TTL_SECONDS_DEFAULT,
        description="How long hosts may join by it, seconds of real time, 60 to 366 days.",
    )
    max_agents: int = Field(
        default=MAX_AGENTS_DEFAULT, description="Most agents that may join by it, 1 to 100,000."
    )
    is_ephemeral: bool = Field(
        default=False,
        description="Whether its agents come and go: each counts as lost after an hour of silence, "
        "not after seven days.",
    )


class JoinTokenAnswer(BaseModel):
    """A join token, without the token."""

    id: str = Field(description="By which it is listed and revoked.")
    fleet: str = Field(description="What the names of its agents begin with.")
    create_time: str = Field(description="When it was made, UTC.")
    expire_time: str = Field(description="From when on nobody joins by it, UTC.")
    revoke_time: str | None = Field(description="Since when it is revoked, UTC; null: it is not.")
    max_agents: int = Field(description="Most agents that may join by it.")
    joined: int = Field(description="Agents that have joined by it, those gone since included.")
    is_ephemeral: bool = Field(description="Whether its agents come and go.")
    state: str = Field(description="`open`, `revoked`, `expired` or `used_up`.")


class MadeJoinTokenAnswer(JoinTokenAnswer):
    """A new join token with what hosts show."""

    token: str = Field(description="Shown once; only its hash is kept.")
