"""TLS of the gRPC port over real sockets: renewal without a restart, and certificates of agents."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from billing_server.edge.grpc.server import IngestServer
from billing_server.edge.grpc.tls import ServerTls, TlsFiles
from billing_server.store.unit_of_work import SqlStore
from metering.clock import SystemClock
from metering.errors import ValidationError
from tests.support.certificates import Authority, Pair

Start = Callable[[TlsFiles], str]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def start(memory_store: SqlStore) -> Iterator[Start]:
    started: list[IngestServer] = []

    def begin(files: TlsFiles) -> str:
        server = IngestServer(
            store=memory_store, clock=SystemClock(), listen="127.0.0.1:0", tls=files
        )
        server.start()
        started.append(server)
        return f"127.0.0.1:{server.port}"

    yield begin
    for server in started:
        server.stop()


def call(address: str, *, ca: Path, pair: Pair | None = None) -> str:
    """Returns SERVING, or the code of the failure."""
    credentials = grpc.ssl_channel_credentials(
        ca.read_bytes(),
        None if pair is None else pair.key.read_bytes(),
        None if pair is None else pair.cert.read_bytes(),
    )
    options = (("grpc.use_local_subchannel_pool", 1),)
    with grpc.secure_channel(address, credentials, options=options) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()  # type: ignore[attr-defined]
            return code.name
        return "SERVING"


def shown_certificate(address: str) -> str:
    host, _, port = address.rpartition(":")
    return ssl.get_server_certificate((host, int(port)))


def test_calls_over_tls_are_answered_and_plain_ones_are_not(
    authority: Authority, start: Start
) -> None:
    pair = authority.sign("server")
    address = start(TlsFiles(cert=pair.cert, key=pair.key))
    assert call(address, ca=authority.ca) == "SERVING"
    with grpc.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.RpcError):
            stub.Check(health_pb2.HealthCheckRequest(), timeout=10)


def test_a_renewed_certificate_is_shown_without_a_restart(
    authority: Authority, start: Start
) -> None:
    pair = authority.sign("server")
    address = start(TlsFiles(cert=pair.cert, key=pair.key))
    first = shown_certificate(address)
    pair.replace_by(authority.sign("renewed"))
    assert shown_certificate(address) != first
    assert call(address, ca=authority.ca) == "SERVING"


def test_a_renewal_that_went_wrong_is_logged_once_and_the_old_certificate_stays(
    authority: Authority, start: Start
) -> None:
    pair = authority.sign("server")
    address = start(TlsFiles(cert=pair.cert, key=pair.key))
    first = shown_certificate(address)
    with capture_logs() as logs:
        pair.key.write_text("broken")
        assert [shown_certificate(address) for _ in range(3)] == [first] * 3
    assert [line["event"] for line in logs] == ["tls_files_unusable"]
    assert "--tls-key" in logs[0]["error"]


def test_only_agents_with_a_certificate_of_the_named_authority_are_let_in(
    authority: Authority, start: Start, tmp_path: Path
) -> None:
    pair = authority.sign("server")
    agents = Authority(tmp_path, name="agents")
    address = start(TlsFiles(cert=pair.cert, key=pair.key, client_ca=agents.ca))
    assert call(address, ca=authority.ca, pair=agents.sign("host-1")) == "SERVING"
    assert call(address, ca=authority.ca) == "UNAVAILABLE"
    assert call(address, ca=authority.ca, pair=authority.sign("stranger")) == "UNAVAILABLE"
    assert call(address, ca=authority.ca, pair=agents.sign("old", days=-1)) == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("cert", "key", "client_ca", "named"),
    [
        ("missing", "key", None, "tls-cert: .* cannot be read"),
        ("cert", "missing", None, "tls-key: .* cannot be read"),
        ("cert", "ca", None, "tls-cert: .* no pair"),
        ("cert", "key", "missing", "tls-client-ca: .* cannot be read"),
        ("cert", "key", "key", "tls-client-ca: .* holds no certificate"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_at_the_start(
    authority: Authority, tmp_path: Path, cert: str, key: str, client_ca: str | None, named: str
) -> None:
    pair = authority.sign("server")
    paths = {"cert": pair.cert, "key": pair.key, "ca": authority.ca, "missing": tmp_path / "none"}
    files = TlsFiles(
        cert=paths[cert], key=paths[key], client_ca=None if client_ca is None else paths[client_ca]
    )
    with pytest.raises(ValidationError, match=named) as caught:
        ServerTls(files)
    assert caught.value.reason == "TLS_FILE_UNUSABLE"
