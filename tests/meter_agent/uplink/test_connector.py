"""Which address is called, and when a channel is opened anew."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meter_agent.uplink.client import UplinkError
from meter_agent.uplink.connector import Connector, split_servers
from meter_agent.uplink.tls import TlsMode, TlsSettings, TlsSource
from meter_agent.uplink.token import TokenSource
from metering.api.v1 import ingest_pb2
from tests.meter_agent.fake_server import TOKEN, FakeServer
from tests.support.certificates import Authority

AWAY = UplinkError(message="away", is_unreachable=True)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as started:
        yield started


def connector(*servers: str, tls: TlsSettings | None = None, token: str = TOKEN) -> Connector:
    # Plain text unless a test is about TLS: the names below are never called.
    source = TlsSource(tls or TlsSettings(mode=TlsMode.OFF))
    return Connector(servers, tokens=TokenSource(token_file=None, token=token), tls=source)


def test_several_addresses_are_split_at_commas_each_once() -> None:
    assert split_servers(" a:1, b:2 ,,a:1") == ("a:1", "b:2")
    assert split_servers("") == ()


def test_the_channel_stays_the_same_while_nothing_changes(server: FakeServer) -> None:
    made = connector(server.address)
    assert made.client() is made.client()
    made.close()


def test_no_channel_is_opened_behind_a_stop(server: FakeServer) -> None:
    made = connector(server.address)
    made.client()
    made.close()
    with pytest.raises(UplinkError, match="stopping"):
        made.client()


def test_failures_go_round_the_addresses_and_what_works_is_kept(server: FakeServer) -> None:
    made = connector("127.0.0.1:1", "127.0.0.1:2", server.address)
    seen = []
    for _ in range(2):
        made.client()
        seen.append(made.server)
        made.failed(AWAY)
    for _ in range(3):
        made.client().open_session(ingest_pb2.OpenSessionRequest(nonce=b"n"))
        seen.append(made.server)
    assert seen == ["127.0.0.1:1", "127.0.0.1:2", *[server.address] * 3]
    made.failed(AWAY)
    assert made.server == "127.0.0.1:1"
    made.close()


def test_a_failure_of_the_own_disk_changes_no_address() -> None:
    made = connector("127.0.0.1:1", "127.0.0.1:2")
    made.client()
    assert made.failed(OSError("the disk is full")) == "the disk is full"
    assert made.server == "127.0.0.1:1"


def test_a_missing_token_is_told_before_anything_is_called() -> None:
    with pytest.raises(UplinkError, match="no agent token"):
        connector("127.0.0.1:1", token="").client()


def test_a_failed_call_is_explained_where_tls_is_the_reason(server: FakeServer) -> None:
    made = connector(server.address, tls=TlsSettings(mode=TlsMode.ON))
    client = made.client()
    with pytest.raises(UplinkError) as caught:
        client.open_session(ingest_pb2.OpenSessionRequest())
    assert "speaks no TLS" in made.failed(caught.value)


def test_a_channel_that_has_worked_is_not_blamed_on_tls(server: FakeServer) -> None:
    made = connector(server.address)
    made.client().open_session(ingest_pb2.OpenSessionRequest(nonce=b"n"))
    assert made.failed(AWAY) == "away"


def test_a_renewed_certificate_opens_a_new_channel(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("agent")
    tls = TlsSettings(server_ca=authority.ca, cert=pair.cert, key=pair.key)
    made = connector("127.0.0.1:1", tls=tls)
    first = made.client()
    assert made.client() is first
    before = made.fingerprint()
    pair.replace_by(authority.sign("renewed"))
    assert made.fingerprint() != before
    second = made.client()
    assert second is not first
    pair.key.unlink()
    with pytest.raises(UplinkError, match="--tls-key"):
        made.client()
    made.close()
