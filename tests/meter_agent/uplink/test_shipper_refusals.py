"""Shipping past an event that the server refuses, against a real gRPC server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from meter_agent.core.backoff import BackoffPolicy
from meter_agent.store.database import open_reader
from meter_agent.store.reader import OutboxReader
from meter_agent.uplink.settings import UplinkSettings
from meter_agent.uplink.shipper import Shipper
from meter_agent.uplink.token import TokenSource
from metering.clock import SystemClock
from tests.meter_agent.fake_server import TOKEN, FakeServer
from tests.meter_agent.support import NOW_US, Store, events, ids_of, numbered, wait_until


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as started:
        yield started


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as opened:
        yield opened


@contextmanager
def shipping(
    store: Store, server: FakeServer, *, refused_retry_seconds: float = 0.01
) -> Iterator[Shipper]:
    """Ships from the store to the server for as long as the block runs."""
    reader = OutboxReader(store.path)
    shipper = Shipper(
        UplinkSettings(
            server=server.address,
            agent_version="0.0.1",
            backoff=BackoffPolicy(first_seconds=0.01, cap_seconds=0.05),
            refused_retry_seconds=refused_retry_seconds,
        ),
        writer=store.writer,
        reader=reader,
        tokens=TokenSource(token_file=None, token=TOKEN),
        clock=SystemClock(),
    )
    store.writer._on_append = shipper.notify
    shipper.start()
    try:
        yield shipper
    finally:
        shipper.stop()
        reader.close()


def wait_until_drained(store: Store) -> None:
    wait_until(lambda: store.writer.state.positions.buffered_count == 0)


def ids(start: int, stop: int) -> list[str]:
    return [f"event-{number}" for number in range(start, stop)]


def set_aside(store: Store) -> list[tuple[int, str, list[str]]]:
    connection = open_reader(store.path)
    rows = connection.execute("SELECT seq, message, payload FROM refused_block ORDER BY seq")
    found = [(seq, message, ids_of(payload)) for seq, message, payload in rows]
    connection.close()
    return found


def test_an_event_that_the_server_refuses_is_set_aside_and_all_others_arrive(
    store: Store, server: FakeServer
) -> None:
    server.refused_ids = {"event-5", "event-20"}
    store.record(numbered(0, 20))
    store.record(numbered(20, 40), receive_time_us=NOW_US + 1)
    with capture_logs() as logs, shipping(store, server) as shipper:
        wait_until_drained(store)
        store.record(events("later"))
        wait_until_drained(store)
        assert shipper._reader.refused_count() == 2
        assert shipper.health.last_error == ""
    good = [name for name in ids(0, 40) if name not in server.refused_ids]
    assert server.event_ids == [*good, "later"]
    found = set_aside(store)
    # Position 1 is event-0.
    assert [(seq, names) for seq, _, names in found] == [(6, ["event-5"]), (21, ["event-20"])]
    assert "event-5 is bad" in found[0][1]
    told = [entry for entry in logs if entry["event"] == "event_set_aside"]
    assert [entry["seq"] for entry in told] == [6, 21]
    assert "refused_block" in told[0]["remedy"]
    # The server is told which positions it will never get.
    assert server.books.losses == [(6, 6), (21, 21)]


def test_a_server_that_refuses_everything_gets_time_before_anything_is_set_aside(
    store: Store, server: FakeServer
) -> None:
    server.refused_ids = set(ids(0, 8))
    store.record(numbered(0, 8))
    with capture_logs() as logs, shipping(store, server, refused_retry_seconds=3600.0) as shipper:
        wait_until(lambda: any(entry["event"] == "uplink_failed" for entry in logs))
        assert "event-0 is bad" in shipper.health.last_error
    assert set_aside(store) == []
    # 8, 4, 2, 1 events, and then a wait.
    sizes = [sum(block.event_count for block in push.blocks) for push in server.pushes]
    assert sizes == [8, 4, 2, 1]
    waiting = [entry for entry in logs if entry["event"] == "uplink_failed"]
    assert waiting[0]["retry_in_seconds"] >= 3600


def test_an_event_that_was_set_aside_before_a_restart_is_not_shipped_again(
    store: Store, server: FakeServer
) -> None:
    server.refused_ids = {"event-1"}
    server.safe_lag = 1_000  # Every row is kept.
    store.record(numbered(0, 3))
    with shipping(store, server):
        wait_until_drained(store)
    store.record(events("later"))
    with shipping(store, server):
        wait_until_drained(store)
    assert server.event_ids == ["event-0", "event-2", "later"]
    assert len(set_aside(store)) == 1
