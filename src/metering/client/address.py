"""Where the agent is: the argument, the environment, the default socket, the loopback."""

from collections.abc import Callable, Mapping

from metering.errors import ValidationError

ADDRESS_VARIABLE = "METER_AGENT_ADDRESS"
"""Environment variable that names the agent."""

DEFAULT_SOCKET_PATH = "/run/meter-agent/agent.sock"
"""Where an installed agent listens."""

DEFAULT_TCP_ADDRESS = "127.0.0.1:4270"
"""Where an agent listens that may not write to /run."""

PORT_MAX = 65_535


def find_agent_address(
    address: str | None,
    *,
    environment: Mapping[str, str],
    path_exists: Callable[[str], bool],
) -> str:
    """Finds the agent: `address`, else METER_AGENT_ADDRESS, else the socket, else the loopback.

    Args:
        address: `HOST:PORT` or `unix:PATH`; None looks for it.
        environment: The process's environment.
        path_exists: Tells whether a path is there.

    Raises:
        ValidationError: AGENT_ADDRESS_MALFORMED, naming where the address came from.
    """
    if address is not None:
        return _checked(address, source="address")
    from_environment = environment.get(ADDRESS_VARIABLE, "")
    if from_environment:
        return _checked(from_environment, source=ADDRESS_VARIABLE)
    if path_exists(DEFAULT_SOCKET_PATH):
        return f"unix:{DEFAULT_SOCKET_PATH}"
    return DEFAULT_TCP_ADDRESS


def _checked(address: str, *, source: str) -> str:
    if address.startswith("unix:"):
        if address.removeprefix("unix:"):
            return address
    else:
        host, _, port = address.rpartition(":")
        # The colon of a scheme is no port's, and a path belongs to a URL.
        if (
            host
            and "/" not in host
            and port.isascii()
            and port.isdecimal()
            and 0 < int(port) <= PORT_MAX
        ):
            return address
    raise ValidationError(
        reason="AGENT_ADDRESS_MALFORMED",
        message=(
            f"{source}: {address!r} is no address of an agent; "
            "write HOST:PORT without http://, e.g. 127.0.0.1:4270, or unix:PATH."
        ),
    )
