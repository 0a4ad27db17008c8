"""What the doctor says of the certificates."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from meter_agent.doctor.finding import Severity
from meter_agent.doctor.tls import check_tls
from meter_agent.uplink.tls import TlsMode, TlsSettings, TlsSource
from tests.meter_agent.fake_server import FakeServer
from tests.support.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server(authority: Authority) -> Iterator[FakeServer]:
    pair = authority.sign("server")
    keys = [(pair.key.read_bytes(), pair.cert.read_bytes())]
    with FakeServer(credentials=grpc.ssl_server_credentials(keys)) as started:
        yield started


def reasons(server: str, **settings: object) -> list[tuple[Severity, str]]:
    found, _ = check_tls(server, tls=TlsSource(TlsSettings(**settings)))  # type: ignore[arg-type]
    return [(item.severity, item.reason) for item in found]


def test_a_certificate_that_is_accepted_is_fine(authority: Authority, server: FakeServer) -> None:
    assert reasons(server.address, server_ca=authority.ca) == [(Severity.OK, "")]


def test_a_certificate_that_is_not_accepted_is_told_with_its_remedy(server: FakeServer) -> None:
    found, _ = check_tls(server.address, tls=TlsSource(TlsSettings(mode=TlsMode.ON)))
    assert [(item.severity, item.reason) for item in found] == [(Severity.ERROR, "TLS_FAILED")]
    assert "--server-ca FILE" in found[0].remedy
    assert server.address in found[0].message


def test_a_server_that_wants_tls_is_told(server: FakeServer) -> None:
    assert reasons(server.address) == [(Severity.ERROR, "TLS_FAILED")]


def test_a_file_that_is_missing_is_told(tmp_path: Path, server: FakeServer) -> None:
    found, material = check_tls(
        server.address, tls=TlsSource(TlsSettings(server_ca=tmp_path / "none.pem"))
    )
    assert (found[0].reason, material) == ("TLS_FILE_UNUSABLE", None)
    assert "none.pem" in found[0].message


def test_plain_text_on_this_host_is_fine_and_elsewhere_a_warning() -> None:
    assert reasons("127.0.0.1:1") == []
    assert reasons("unix:/run/server.sock") == []
    # An address that is never routed: nothing answers, and the warning does not need it to.
    assert reasons("192.0.2.1:9", mode=TlsMode.OFF) == [(Severity.WARNING, "TLS_OFF")]
