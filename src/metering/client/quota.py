"""What a question for quota may answer beside a grant: a denial, and an agent that is away."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum

from metering.api.v1.agent_pb2 import QuotaDenial
from metering.errors import QuotaExceededError

AGENT_UNAVAILABLE = "AGENT_UNAVAILABLE"
"""Reason of a denial that no agent gave."""


class OnAgentUnavailable(Enum):
    """What a reservation does when no agent answers in time."""

    ALLOW = "allow"
    """The call goes on with all that it asked for; what it used is settled once an agent is back.
    Such use is beyond what any limit can hold."""
    DENY = "deny"
    """The call is refused, as if a limit had refused it."""


class QuotaDenied(QuotaExceededError):
    """A limit, or the absence of an agent, refused a call before it was made.

    Args:
        reason: Stable `UPPER_SNAKE` name of the case, e.g. "LIMIT_REACHED".
        message: For people; may be shown to the customer.
        limit_key: Key of the limit that refused; empty where no limit did.
        remaining: By quantity name, what is left of that limit.
        reset_time: When that limit's window ends; None where it never does or is not known.
    """

    def __init__(
        self,
        *,
        reason: str,
        message: str,
        limit_key: str = "",
        remaining: Mapping[str, Decimal] | None = None,
        reset_time: datetime | None = None,
    ) -> None:
        super().__init__(reason=reason, message=message, metadata={"limit_key": limit_key})
        self.limit_key = limit_key
        self.remaining: Mapping[str, Decimal] = dict(remaining or {})
        self.reset_time = reset_time


def denied_from_proto(denial: QuotaDenial) -> QuotaDenied:
    """Returns the exception for a denial as the agent answered it."""
    return QuotaDenied(
        reason=denial.reason or "LIMIT_REACHED",
        message=denial.message or f"the limit {denial.limit_key} refused",
        limit_key=denial.limit_key,
        remaining=decimals_from_proto(denial.remaining),
        reset_time=(
            denial.reset_time.ToDatetime(tzinfo=UTC) if denial.HasField("reset_time") else None
        ),
    )


def denied_without_agent(address: str, *, why: str) -> QuotaDenied:
    """Returns the exception for a call that no agent answered.

    Args:
        address: Where the agent was looked for.
        why: What the transport said.
    """
    return QuotaDenied(
        reason=AGENT_UNAVAILABLE,
        message=f"no meter-agent answers at {address} ({why}), so quota cannot be held: start it, "
        "or pass on_agent_unavailable=OnAgentUnavailable.ALLOW to go on without",
    )


def decimals_from_proto(quantities: Mapping[str, str]) -> dict[str, Decimal]:
    """Returns quantities by name as exact numbers."""
    return {name: Decimal(text) for name, text in quantities.items()}
