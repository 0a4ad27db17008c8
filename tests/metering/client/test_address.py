"""The agent is found by argument, environment, default socket, loopback: in this order."""

import pytest

from metering.client.address import find_agent_address
from metering.errors import ValidationError


def _find(
    address: str | None, *, environment: dict[str, str] | None = None, has_socket: bool = False
) -> str:
    return find_agent_address(
        address, environment=environment or {}, path_exists=lambda _path: has_socket
    )


def test_the_argument_goes_before_everything() -> None:
    environment = {"METER_AGENT_ADDRESS": "127.0.0.1:1"}
    assert _find("unix:/tmp/a", environment=environment, has_socket=True) == "unix:/tmp/a"


def test_the_environment_goes_before_the_socket() -> None:
    environment = {"METER_AGENT_ADDRESS": "127.0.0.1:1"}
    assert _find(None, environment=environment, has_socket=True) == "127.0.0.1:1"


def test_the_default_socket_is_taken_where_it_exists() -> None:
    assert _find(None, has_socket=True) == "unix:/run/meter-agent/agent.sock"


def test_the_loopback_is_the_last_resort() -> None:
    assert _find(None) == "127.0.0.1:4270"


def test_an_empty_environment_variable_is_as_none() -> None:
    assert _find(None, environment={"METER_AGENT_ADDRESS": ""}) == "127.0.0.1:4270"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost",
        ":4270",
        "host:0",
        "host:65536",
        "unix:",
        "127.0.0.1:４２７０",
        "http://host:1",
    ],
)
def test_a_malformed_address_is_refused_with_its_source(address: str) -> None:
    with pytest.raises(ValidationError, match="address: ") as caught:
        _find(address)
    assert caught.value.reason == "AGENT_ADDRESS_MALFORMED"


def test_a_malformed_environment_variable_is_named() -> None:
    with pytest.raises(ValidationError, match="METER_AGENT_ADDRESS: 'nowhere'"):
        _find(None, environment={"METER_AGENT_ADDRESS": "nowhere"})
