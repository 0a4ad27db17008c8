"""How the agent talks to the server, and how its last call ended."""

from dataclasses import dataclass, field
from typing import Final

from meter_agent.core.backoff import BackoffPolicy
from meter_agent.uplink.client import CALL_SECONDS
from meter_agent.uplink.tls import TlsSettings

REFUSED_RETRY_SECONDS: Final = 30.0
"""After a refused token a person must act: tries are rare, and a changed token file wakes."""
ALIVE_SECONDS: Final = 60.0
"""An idle agent says so this often: the server may then close periods, and a server that went back
to a backup is noticed."""


@dataclass(frozen=True, slots=True)
class UplinkHealth:
    """How the last call to the server ended."""

    is_reachable: bool = False
    """Whether it was answered."""
    last_error: str = ""
    """Why it failed; for people. Empty where it did not."""


@dataclass(frozen=True, slots=True)
class UplinkSettings:
    """How the agent talks to the server."""

    server: str
    """HOST:PORT, or unix:/path; several, separated by commas, in order of preference."""
    agent_version: str
    """Version of the program, told to the server."""
    backoff: BackoffPolicy = field(default_factory=BackoffPolicy)
    """Waits between tries."""
    refused_retry_seconds: float = REFUSED_RETRY_SECONDS
    """Least wait after a refused token, seconds, > 0."""
    alive_seconds: float = ALIVE_SECONDS
    """How often an idle agent tells the server that nothing waits, seconds, > 0."""
    tls: TlsSettings = field(default_factory=TlsSettings)
    """Whether and with which certificates TLS is spoken."""
    call_seconds: float = CALL_SECONDS
    """Deadline of one call, seconds, > 0."""
