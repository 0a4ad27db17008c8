"""How the commands find the server and its key."""

from pathlib import Path

import httpx
import pytest

from billing_server.cli import client as client_module
from billing_server.cli.client import open_client, path_of
from metering.errors import (
    AuthenticationError,
    MeteringError,
    UnavailableError,
    ValidationError,
)
from tests.billing_server.cli.runner import Commands


def test_the_local_key_is_found_in_the_data_directory(tmp_path: Path) -> None:
    (tmp_path / "admin.key").write_text("mak_local\n")
    client = open_client(url="http://test", api_key=None, data_dir=tmp_path)
    assert client.http.headers["Authorization"] == "Bearer mak_local"
    given = open_client(url="http://test", api_key="mak_given", data_dir=tmp_path)
    assert given.http.headers["Authorization"] == "Bearer mak_given"
    client.http.close()
    given.http.close()


def test_a_key_that_cannot_be_read_tells_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError, match="--data-dir or BILLING_SERVER_DATA_DIR"):
        open_client(url="http://test", api_key=None, data_dir=tmp_path)


def test_a_server_that_is_away_tells_what_to_do() -> None:
    client = open_client(url="http://127.0.0.1:1", api_key="k", data_dir=None)
    with pytest.raises(UnavailableError, match="billing-server serve"):
        client.get("/v1/clock")
    client.http.close()


def test_an_address_without_a_scheme_is_told_to_be_none() -> None:
    with pytest.raises(ValidationError, match="write http://HOST:PORT") as refused:
        open_client(url="127.0.0.1:8080", api_key="k", data_dir=None)
    assert refused.value.reason == "URL_MALFORMED"


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (httpx.RemoteProtocolError("illegal request line"), "--http-listen"),
        (httpx.ConnectError("[SSL: WRONG_VERSION_NUMBER] wrong version number"), "write http://"),
        (httpx.ConnectError("Connection refused"), "billing-server serve"),
    ],
    ids=["the gRPC port", "https", "nobody"],
)
def test_the_remedy_fits_what_is_wrong_with_an_address(
    error: httpx.HTTPError, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_client(url="http://test", api_key="k", data_dir=None)

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(client.http, "request", fail)
    with pytest.raises(UnavailableError, match=remedy):
        client.get("/v1/clock")
    client.http.close()


def test_an_answer_that_is_no_problem_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    client = open_client(url="http://test", api_key="k", data_dir=None)
    answer = httpx.Response(502, text="<html>", request=httpx.Request("GET", "http://test/"))
    monkeypatch.setattr(client.http, "request", lambda *_, **__: answer)
    with pytest.raises(MeteringError, match="502") as refused:
        client.get("/v1/clock")
    assert refused.value.reason == "ANSWER_UNKNOWN"
    client.http.close()


def test_ids_may_hold_any_character() -> None:
    assert path_of("customers", "a/ü") == "/v1/customers/a%2F%C3%BC"


def test_a_list_is_walked_over_its_pages_up_to_the_limit(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAGE_LIMIT", 2)
    for number in range(7):
        commands.api.post("/v1/agents", {"name": f"host-{number:03d}"})
    assert len(commands.json("agents", "list", "--limit=5")) == 5
    assert len(commands.json("agents", "list")) == 7
