"""The name that the disk budget is divided by."""

import pytest

from meter_agent.edge.callers import caller_of


class Call:
    """A call with metadata from an address."""

    def __init__(self, *, client: str | bytes | None = None, peer: str = "unix:") -> None:
        self._metadata = (("user-agent", "x"),) + (
            () if client is None else (("x-meter-client", client),)
        )
        self._peer = peer

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        return self._metadata

    def peer(self) -> str:
        return self._peer


@pytest.mark.parametrize("client", ["chat-api", "chat-api/4711", "chat-api/4712/x"])
def test_all_processes_of_a_service_are_one_caller(client: str) -> None:
    assert caller_of(Call(client=client)) == "service:chat-api"


@pytest.mark.parametrize("client", ["", "/4711", "two words", "x" * 65, "umläut", b"bytes", "a\n"])
def test_a_name_that_is_none_counts_as_not_given(client: str | bytes) -> None:
    assert caller_of(Call(client=client)) == "unix"


@pytest.mark.parametrize(
    ("peer", "name"),
    [
        ("unix:", "unix"),
        ("unix:/run/a.sock", "unix"),
        ("ipv4:127.0.0.1:51544", "ipv4:127.0.0.1"),
        ("ipv6:%5B::1%5D:51544", "ipv6:%5B::1%5D"),
        ("", ""),
    ],
)
def test_without_a_name_the_host_is_the_caller(peer: str, name: str) -> None:
    assert caller_of(Call(peer=peer)) == name


def test_a_service_cannot_pass_for_a_host() -> None:
    assert caller_of(Call(client="unix")) == "service:unix"
