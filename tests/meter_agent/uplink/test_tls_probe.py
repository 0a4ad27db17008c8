"""Each way in which a handshake fails is told apart, with its remedy. Against real gRPC servers."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from meter_agent.uplink.tls import TlsMaterial, TlsMode, TlsSettings, TlsSource
from meter_agent.uplink.tls_probe import explain
from tests.meter_agent.fake_server import FakeServer
from tests.support.certificates import Authority, Pair

Serve = Callable[..., FakeServer]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def serve() -> Iterator[Serve]:
    started: list[FakeServer] = []

    def start(pair: Pair | None, *, client_ca: Path | None = None) -> FakeServer:
        credentials = None
        if pair is not None:
            credentials = grpc.ssl_server_credentials(
                [(pair.key.read_bytes(), pair.cert.read_bytes())],
                root_certificates=None if client_ca is None else client_ca.read_bytes(),
                require_client_auth=client_ca is not None,
            )
        started.append(FakeServer(credentials=credentials).start())
        return started[-1]

    yield start
    for server in started:
        server.stop()


def material(ca: Path | None = None, *, pair: Pair | None = None) -> TlsMaterial:
    settings = TlsSettings(
        mode=TlsMode.ON,
        server_ca=ca,
        cert=None if pair is None else pair.cert,
        key=None if pair is None else pair.key,
    )
    return TlsSource(settings).material()


def told(server: FakeServer, with_: TlsMaterial | None) -> str:
    return explain(server.address, material=with_) or ""


def test_a_handshake_that_works_needs_no_explanation(authority: Authority, serve: Serve) -> None:
    server = serve(authority.sign("server"))
    assert explain(server.address, material=material(authority.ca)) is None


def test_a_server_that_is_away_is_not_blamed_on_tls(authority: Authority) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    assert explain(address, material=material(authority.ca)) is None
    assert explain(address, material=None) is None
    assert explain("unix:/no/socket", material=None) is None


def test_an_expired_certificate_is_told(authority: Authority, serve: Serve) -> None:
    found = told(serve(authority.sign("server", days=-1)), material(authority.ca))
    assert "certificate has expired" in found
    assert "renew it at the server" in found


def test_an_unknown_authority_is_told_with_the_flag(
    authority: Authority, serve: Serve, tmp_path: Path
) -> None:
    server = serve(authority.sign("server"))
    other = Authority(tmp_path, name="other")
    assert "--server-ca FILE" in told(server, material(other.ca))
    # The same for those that the system trusts.
    assert "--server-ca FILE" in told(server, material())


def test_a_certificate_of_another_name_is_told(authority: Authority, serve: Serve) -> None:
    server = serve(authority.sign("server", names="DNS:billing.example"))
    assert "name the server in --server as its certificate does" in told(
        server, material(authority.ca)
    )


def test_a_server_without_tls_is_told_with_both_remedies(
    authority: Authority, serve: Serve
) -> None:
    found = told(serve(None), material(authority.ca))
    assert "speaks no TLS" in found
    assert "--tls off" in found


def test_an_agent_without_tls_is_told_that_the_server_wants_it(
    authority: Authority, serve: Serve
) -> None:
    assert "give --tls on" in told(serve(authority.sign("server")), None)
    assert "give --tls on" in told(serve(authority.sign("other"), client_ca=authority.ca), None)
    assert told(serve(None), None) == ""


def test_a_server_that_wants_a_certificate_is_told_apart_from_one_that_refuses_it(
    authority: Authority, serve: Serve, tmp_path: Path
) -> None:
    server = serve(authority.sign("server"), client_ca=authority.ca)
    assert "wants a certificate of the agent" in told(server, material(authority.ca))
    stranger = Authority(tmp_path, name="stranger").sign("agent")
    assert "refuses the agent's certificate" in told(server, material(authority.ca, pair=stranger))
    good = authority.sign("agent")
    assert told(server, material(authority.ca, pair=good)) == ""
