"""The shipper on a network that changes: certificates, addresses, connections that grow old."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from billing_server.edge.grpc.tls import ServerTls, TlsFiles
from meter_agent.core.backoff import BackoffPolicy
from meter_agent.store.reader import OutboxReader
from meter_agent.uplink.settings import UplinkSettings
from meter_agent.uplink.shipper import Shipper
from meter_agent.uplink.tls import TlsSettings
from meter_agent.uplink.token import TokenSource
from metering.clock import SystemClock
from tests.meter_agent.fake_server import TOKEN, FakeServer
from tests.meter_agent.support import Store, numbered, wait_until
from tests.support.certificates import Authority

Ship = Callable[..., Shipper]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as opened:
        yield opened


@pytest.fixture
def ship(store: Store) -> Iterator[Ship]:
    started: list[tuple[Shipper, OutboxReader]] = []

    def start(server: str, *, tls: TlsSettings | None = None) -> Shipper:
        reader = OutboxReader(store.path)
        settings = UplinkSettings(
            server=server,
            agent_version="0.0.1",
            backoff=BackoffPolicy(first_seconds=0.01, cap_seconds=0.05),
            tls=tls or TlsSettings(),
        )
        tokens = TokenSource(token_file=None, token=TOKEN)
        shipper = Shipper(
            settings, writer=store.writer, reader=reader, tokens=tokens, clock=SystemClock()
        )
        store.writer._on_append = shipper.notify
        shipper.start()
        started.append((shipper, reader))
        return shipper

    yield start
    for shipper, reader in started:
        shipper.stop()
        reader.close()


def drained(store: Store) -> Callable[[], bool]:
    return lambda: store.writer.state.positions.buffered_count == 0


def test_usage_goes_over_mutual_tls_through_renewals_on_both_sides(
    store: Store, ship: Ship, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    ours, theirs = authority.sign("agent"), authority.sign("server")
    files = TlsFiles(cert=theirs.cert, key=theirs.key, client_ca=authority.ca)
    with FakeServer(credentials=ServerTls(files).credentials()) as server:
        tls = TlsSettings(server_ca=authority.ca, cert=ours.cert, key=ours.key)
        shipper = ship(server.address, tls=tls)
        store.record(numbered(0, 5))
        wait_until(drained(store))
        with capture_logs() as logs:
            theirs.replace_by(authority.sign("server-renewed"))
            ours.replace_by(authority.sign("agent-renewed"))
            store.record(numbered(5, 10))
            wait_until(drained(store))
        # A channel with the new certificate, and no failure on the way to it.
        assert "channel_reopened" in [line["event"] for line in logs]
        assert shipper.tally.figures.failure_count == 0
        assert (len(server.event_ids), server.books.session_no) == (10, 1)


def test_a_wrong_authority_is_told_and_the_right_one_taken_without_a_restart(
    store: Store, ship: Ship, tmp_path: Path
) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, name="other")
    pair = authority.sign("server")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(other.ca.read_bytes())
    files = TlsFiles(cert=pair.cert, key=pair.key)
    with FakeServer(credentials=ServerTls(files).credentials()) as server:
        store.record(numbered(0, 5))
        shipper = ship(server.address, tls=TlsSettings(server_ca=trusted))
        wait_until(lambda: "--server-ca FILE" in shipper.health.last_error)
        assert not shipper.health.is_reachable
        assert server.sessions == []
        trusted.write_bytes(authority.ca.read_bytes())
        wait_until(drained(store))
        assert shipper.health.last_error == ""


def test_the_next_address_is_taken_where_one_is_away_and_kept_while_it_is_good(
    store: Store, ship: Ship
) -> None:
    with FakeServer() as first, FakeServer() as second:
        second.books = first.books  # Two servers on one database.
        ship(f"{first.address},{second.address}")
        store.record(numbered(0, 5))
        wait_until(drained(store))
        assert (len(first.pushes) > 0, second.pushes) == (True, [])
        first.stop()
        store.record(numbered(5, 10))
        wait_until(drained(store))
        assert second.pushes
        first.start()
        before = len(first.pushes)
        store.record(numbered(10, 15))
        wait_until(drained(store))
        assert len(first.pushes) == before
        assert second.event_ids == [f"event-{number}" for number in range(15)]
        assert second.books.duplicate_count == 0


def test_connections_that_are_ended_for_their_age_cost_no_failure(store: Store, ship: Ship) -> None:
    age = (("grpc.max_connection_age_ms", 100), ("grpc.max_connection_age_grace_ms", 5_000))
    with FakeServer(options=age) as server, capture_logs() as logs:
        shipper = ship(server.address)
        for number in range(150):
            store.record(numbered(number, number + 1))
            wait_until(drained(store))
        assert [line for line in logs if line["log_level"] == "warning"] == []
        assert shipper.tally.figures.failure_count == 0
        assert (len(server.event_ids), server.books.session_no) == (150, 1)
