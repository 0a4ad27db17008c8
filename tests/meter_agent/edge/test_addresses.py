"""Addresses: read, refused with the flag, made ready to bind."""

import os
import socket
from pathlib import Path

import pytest

from meter_agent.edge import addresses as module
from meter_agent.edge.addresses import (
    Address,
    default_addresses,
    is_directory_usable,
    open_socket,
    parse_address,
    prepare_socket,
)
from metering.errors import InvalidStateError, PermissionDeniedError, ValidationError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/a.sock", Address(socket_path=Path("/run/a.sock"))),
        ("unix:///run/a.sock", Address(socket_path=Path("/run/a.sock"))),
        (" 127.0.0.1:4270 ", Address(host="127.0.0.1", port=4270)),
        ("[::1]:0", Address(host="[::1]", port=0)),
        ("localhost:65535", Address(host="localhost", port=65535)),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address


def test_a_socket_path_that_is_too_long_for_the_kernel_is_refused() -> None:
    with pytest.raises(ValidationError, match="107"):
        parse_address("unix:/" + "x" * 107)


def test_a_target_is_what_grpc_takes() -> None:
    assert Address(socket_path=Path("/run/a.sock")).target == "unix:/run/a.sock"
    assert Address(host="[::1]", port=4270).target == "[::1]:4270"


@pytest.mark.parametrize(
    "text",
    [
        *("", "4270", ":4270", "host:", "host:port", "host:65536", "host:-1", "host:٣", "unix:"),
        *("http://billing:4280", "https://billing:4280/", "//billing:4280", "billing/x:4280"),
    ],
)
def test_a_text_that_is_no_address_is_refused_with_the_flag(text: str) -> None:
    with pytest.raises(ValidationError, match="--address") as caught:
        parse_address(text, flag="--address")
    assert caught.value.reason == "ADDRESS_MALFORMED"


def test_a_url_is_refused_with_the_form_that_is_wanted() -> None:
    with pytest.raises(ValidationError, match="HOST:PORT without http://"):
        parse_address("http://billing:4280", flag="--server")


def test_the_default_is_a_socket_and_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RUNTIME_DIRECTORY", tmp_path / "run")
    assert default_addresses(data_dir=tmp_path / "data", instance="") == (
        f"unix:{tmp_path}/run/agent.sock",
        "127.0.0.1:4270",
    )
    # A named instance leaves loopback to the agent without a name.
    assert default_addresses(data_dir=tmp_path / "data", instance="b") == (
        f"unix:{tmp_path}/run/b/agent.sock",
    )


def test_the_default_socket_is_in_the_data_directory_where_run_is_not_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(module, "RUNTIME_DIRECTORY", tmp_path / "file" / "run")
    assert default_addresses(data_dir=tmp_path, instance="")[0] == f"unix:{tmp_path}/agent.sock"


def test_a_directory_is_usable_where_it_or_its_first_existing_parent_is(tmp_path: Path) -> None:
    assert is_directory_usable(tmp_path / "not" / "yet")
    (tmp_path / "file").write_text("")
    assert not is_directory_usable(tmp_path / "file")


def test_the_socket_of_a_killed_agent_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a" / "agent.sock"
    prepare_socket(path)
    assert path.parent.stat().st_mode & 0o777 == 0o750
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    assert path.exists()
    prepare_socket(path)
    assert not path.exists()


def test_a_socket_that_is_listened_on_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        live.listen()
        with pytest.raises(InvalidStateError, match="--listen") as caught:
            prepare_socket(path)
    assert caught.value.reason == "ADDRESS_IN_USE"
    assert path.exists()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(InvalidStateError):
        prepare_socket(path)
    assert path.read_text() == "data"


def test_a_directory_that_cannot_be_made_is_named_with_the_flag(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PermissionDeniedError, match="--listen") as caught:
        prepare_socket(tmp_path / "file" / "agent.sock")
    assert caught.value.reason == "ADDRESS_NOT_WRITABLE"


def test_a_socket_gets_its_mode_and_group(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    path.write_text("")
    open_socket(path, group="")
    assert path.stat().st_mode & 0o777 == 0o660
    with pytest.raises(ValidationError, match="--socket-group"):
        open_socket(path, group="no-such-group-here")
    if os.geteuid() == 0:
        open_socket(path, group="daemon")
        assert path.group() == "daemon"
