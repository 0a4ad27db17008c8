"""Who calls: the name that the disk budget is divided by.

A Python gRPC handler cannot see the uid or pid of its peer, so the name is the caller's own word.
It decides about fairness only, never about what is allowed.
"""

import re
from typing import Final, Protocol

CLIENT_METADATA_KEY: Final = "x-meter-client"
"""Carries `SERVICE` or `SERVICE/PID`; all processes of one service share its part."""

_SERVICE = re.compile(r"[!-.0-~]{1,64}")
_PORT = re.compile(r":[0-9]+\Z")


class CallContext(Protocol):
    """What is read of a call."""

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...] | None:
        """Metadata that the client sent."""
        ...

    def peer(self) -> str:
        """Address of the other end."""
        ...


def caller_of(context: CallContext) -> str:
    """Returns the name of the calling service; where it gives none, its host, "unix" or "".

    Args:
        context: Of the call.
    """
    for key, value in context.invocation_metadata() or ():
        if key == CLIENT_METADATA_KEY and isinstance(value, str):
            service, _, _ = value.partition("/")
            if _SERVICE.fullmatch(service):
                return f"service:{service}"
    # Each connection has another port: what is left names the host, or the kind of socket.
    peer = context.peer()
    return "unix" if peer.startswith("unix:") else _PORT.sub("", peer)
