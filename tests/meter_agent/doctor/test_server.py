"""The way to the server: wrong in every way, against real sockets."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from meter_agent.doctor import server as doctor
from meter_agent.doctor.finding import Finding, Severity
from metering.clock import SystemClock
from tests.meter_agent.fake_server import AGENT_ID, TOKEN, FakeServer
from tests.meter_agent.support import RunningAgent


def reasons(findings: list[Finding]) -> list[str]:
    assert all(item.remedy for item in findings if item.reason)
    assert all(TOKEN not in item.message + item.remedy for item in findings)
    return [item.reason for item in findings]


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer() as started:
        yield started


def ask(fake: FakeServer, *, token: str = TOKEN) -> list[Finding]:
    with grpc.insecure_channel(fake.address) as channel:
        return doctor.check_agent(channel, server=fake.address, token=token, clock=SystemClock())


def test_a_token_is_looked_at_without_being_shown(tmp_path: Path) -> None:
    path = tmp_path / "token"
    assert reasons(doctor.check_token(None, token=None)) == ["TOKEN_MISSING"]
    assert reasons(doctor.check_token(None, token=TOKEN)) == [""]
    assert reasons(doctor.check_token(path, token=None)) == ["TOKEN_MISSING"]
    path.write_text("\n")
    path.chmod(0o600)
    assert reasons(doctor.check_token(path, token=None)) == ["TOKEN_MISSING"]
    path.write_text(TOKEN)
    assert reasons(doctor.check_token(path, token=None)) == [""]
    path.chmod(0o644)
    [found] = doctor.check_token(path, token=None)
    assert (found.reason, "0644" in found.message) == ("TOKEN_FILE_OPEN", True)


@pytest.mark.parametrize("content", [f"{TOKEN}\n{TOKEN}", f"token: {TOKEN}", "mat_\u00e9"])
def test_a_file_that_holds_more_than_a_token_is_found(content: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(0o600)
    [found] = doctor.check_token(path, token=None)
    assert reasons([found]) == ["TOKEN_MALFORMED"]
    assert str(path) in found.message
    assert "agent enroll" in found.remedy


def test_a_name_with_several_addresses_is_reached_by_any(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(fake.address.rpartition(":")[2])
    tcp = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    known = [(*tcp, ("127.0.0.2", port)), (*tcp, ("127.0.0.1", port))]
    monkeypatch.setattr(doctor.socket, "getaddrinfo", lambda *_, **__: known)
    connect = socket.create_connection

    def only_the_second(address: tuple[str, int], timeout: float) -> socket.socket:
        if address[0] == "127.0.0.2":
            raise ConnectionRefusedError(111, "Connection refused")
        monkeypatch.undo()
        return connect(address, timeout)

    monkeypatch.setattr(doctor.socket, "create_connection", only_the_second)
    assert reasons(doctor.check_address(f"localhost:{port}")) == [""]


def test_an_address_where_nobody_listens_is_found(fake: FakeServer) -> None:
    assert reasons(doctor.check_address(fake.address)) == [""]
    address = fake.address
    fake.stop()
    assert reasons(doctor.check_address(address)) == ["SERVER_UNREACHABLE"]


def test_a_name_that_nobody_knows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(doctor.socket, "getaddrinfo", unknown)
    assert reasons(doctor.check_address("biling.internal:4280")) == ["SERVER_NAME_UNKNOWN"]


def test_another_grpc_service_is_not_taken_for_the_server(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        answer = doctor.check_service(agent.channel, server="127.0.0.1:4270")
    assert (reasons(answer.findings), answer.is_ours) == (["SERVER_WRONG_SERVICE"], False)


def test_an_http_port_is_not_taken_for_the_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        with grpc.insecure_channel(target) as channel:
            found = doctor.check_service(channel, server=target)
    assert (reasons(found.findings), found.is_ours) == (["SERVER_WRONG_SERVICE"], False)


def test_a_port_that_never_answers_is_named_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CALL_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        with grpc.insecure_channel(target) as channel:
            found = doctor.check_service(channel, server=target)
    assert reasons(found.findings) == ["SERVER_SILENT"]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (health_pb2.HealthCheckResponse.SERVING, ""),
        (health_pb2.HealthCheckResponse.NOT_SERVING, "SERVER_NOT_SERVING"),
    ],
)
def test_a_server_is_known_by_the_service_that_it_serves(status: int, reason: str) -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    servicer = health.HealthServicer()
    servicer.set(doctor.INGEST_SERVICE, status)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with grpc.insecure_channel(target) as channel:
        found = doctor.check_service(channel, server=target)
    server.stop(None).wait()
    assert (reasons(found.findings), found.is_ours) == ([reason], True)


def test_a_good_token_names_its_agent_and_opens_no_session(fake: FakeServer) -> None:
    findings = ask(fake)
    assert reasons(findings) == ["", ""]
    assert AGENT_ID in findings[0].message
    assert fake.sessions == []


def test_a_refused_token_is_found(fake: FakeServer) -> None:
    assert reasons(ask(fake, token="mat_other")) == ["TOKEN_REFUSED"]


@pytest.mark.parametrize(
    ("seconds", "severity", "where"),
    [
        (0, Severity.OK, "s "),
        (60, Severity.WARNING, "behind"),
        (-60, Severity.WARNING, "ahead of"),
        (600, Severity.ERROR, "behind"),
    ],
)
def test_a_clock_that_is_off_is_found(
    seconds: int, severity: Severity, where: str, fake: FakeServer
) -> None:
    fake.clock_ahead = timedelta(seconds=seconds)
    found = ask(fake)[-1]
    assert (found.check, found.severity) == ("clock", severity)
    assert where in found.message


def test_an_older_server_cannot_say(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:  # It has no such method either.
        findings = doctor.check_agent(agent.channel, server="s:1", token=TOKEN, clock=SystemClock())
    assert reasons(findings) == ["SERVER_OLDER"]
