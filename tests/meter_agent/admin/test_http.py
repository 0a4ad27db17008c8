"""The admin port, called as a scraper and a probe do."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from meter_agent.admin import http as module
from meter_agent.admin.http import AdminPages, AdminServer, parse_admin_address
from metering.errors import InvalidStateError, ValidationError

ANY_PORT = parse_admin_address("127.0.0.1:0")


class Answers:
    not_live = ""
    not_ready = ""


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def server(answers: Answers) -> Iterator[AdminServer]:
    pages = AdminPages(
        metrics=lambda: b"up 1\n",
        metrics_content_type="text/plain; version=1.0.0",
        why_not_live=lambda: answers.not_live,
        why_not_ready=lambda: answers.not_ready,
    )
    started = AdminServer(ANY_PORT, pages=pages)
    started.start()
    yield started
    started.close()


def get(server: AdminServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{server.bound.target}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_each_page_answers(server: AdminServer) -> None:
    assert get(server, "/metrics") == (200, "up 1\n")
    assert get(server, "/livez") == (200, "live\n")
    assert get(server, "/readyz?verbose") == (200, "ready\n")
    assert get(server, "/") == (404, "there are /metrics, /livez and /readyz\n")


def test_not_ready_says_why_and_stays_live(server: AdminServer, answers: Answers) -> None:
    answers.not_ready = "the disk is full"
    assert get(server, "/readyz") == (503, "not ready: the disk is full\n")
    assert get(server, "/livez") == (200, "live\n")
    answers.not_live = "the thread has ended"
    assert get(server, "/livez") == (503, "not live: the thread has ended\n")


def test_a_client_that_sends_nothing_holds_nobody_up(server: AdminServer) -> None:
    with socket.create_connection((server.bound.host, server.bound.port)):
        assert get(server, "/livez")[0] == 200


def test_more_clients_than_the_bound_are_closed(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONNECTION_COUNT_MAX", 1)
    pages = AdminPages(lambda: b"", "text/plain", lambda: "", lambda: "")
    server = AdminServer(ANY_PORT, pages=pages)
    server.start()
    target = (server.bound.host, server.bound.port)
    with socket.create_connection(target), socket.create_connection(target, timeout=10) as second:
        assert second.recv(1) == b""
    server.close()


def test_the_port_can_be_bound_again_at_once(server: AdminServer) -> None:
    for _ in range(3):
        assert get(server, "/livez")[0] == 200  # The server closes first: its side lingers.
    pages = server._server.pages
    server.close()
    again = AdminServer(server.bound, pages=pages)
    again.start()
    assert get(again, "/livez")[0] == 200
    again.close()


def test_a_port_in_use_is_named_with_its_flag(server: AdminServer) -> None:
    with pytest.raises(InvalidStateError, match="--admin-listen") as caught:
        AdminServer(server.bound, pages=server._server.pages)
    assert caught.value.reason == "ADDRESS_IN_USE"


@pytest.mark.parametrize("text", ["unix:/run/admin.sock", "4271", "host:99999"])
def test_an_address_that_is_none_is_named_with_its_flag(text: str) -> None:
    with pytest.raises(ValidationError, match="--admin-listen"):
        parse_admin_address(text)
