"""Two hundred agents come back after an outage, and do not come as one.

Method: 200 shippers, each with a buffer on disk of its own, ship to one real server over real
connections. It is stopped; each agent records and fails, and draws how long to wait. It is started
again on the same port with the same database, and only then do the waits begin, a tenth as long:
so neither the length of the outage nor the speed of the machine decides what is seen. No agent may
call before its wait has passed, and the waits of all may hold no crowd.
"""

import hashlib
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from billing_server.edge.grpc.server import IngestServer
from billing_server.store.unit_of_work import SqlStore
from meter_agent.core.backoff import BackoffPolicy
from meter_agent.store.reader import OutboxReader
from meter_agent.uplink.client import IngestClient
from meter_agent.uplink.settings import UplinkSettings
from meter_agent.uplink.shipper import Shipper
from meter_agent.uplink.token import TokenSource
from metering.clock import SystemClock
from tests.billing_server.ingest_world import START, IngestWorld
from tests.meter_agent.support import NOW_US, Store, event, wait_until

AGENT_COUNT = 200
WAIT_SECONDS = 10.0
"""Both bounds of the waits."""
PACE = 0.1
"""Seconds that pass in this test for each second of a wait."""
BUSIEST_SECOND_MAX = 50
"""Of 200 first calls. 200 waits between 0 and 10 s give 20 a second, at most some 35 by chance."""


class Fleet:
    """The agents."""

    def __init__(self, room: Path, *, address: str, stack: ExitStack) -> None:
        self.calls: list[tuple[float, str, str]] = []
        self.waits: dict[str, float] = {}
        self.is_away = threading.Event()
        self.is_over = threading.Event()
        self.stores: list[Store] = []
        self.shippers: list[Shipper] = []
        for number in range(AGENT_COUNT):
            directory = room / f"agent-{number}"
            directory.mkdir()
            store = stack.enter_context(Store(directory))
            reader = OutboxReader(store.path)
            stack.callback(reader.close)
            settings = UplinkSettings(
                server=address,
                agent_version="0.0.1",
                backoff=BackoffPolicy(first_seconds=WAIT_SECONDS, cap_seconds=WAIT_SECONDS),
            )
            tokens = TokenSource(token_file=None, token=f"mat_{number}")
            shipper = Shipper(
                settings, writer=store.writer, reader=reader, tokens=tokens, clock=SystemClock()
            )
            store.writer._on_append = shipper.notify
            stack.callback(shipper.stop)
            self.stores.append(store)
            self.shippers.append(shipper)

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Notes when each call is made, and by whom."""
        for name in ("open_session", "push_usage"):
            real = getattr(IngestClient, name)

            def noted(client: IngestClient, request: Any, real: Any = real) -> Any:
                self.calls.append((time.monotonic(), client.token, real.__name__))
                return real(client, request)

            monkeypatch.setattr(IngestClient, name, noted)

    def hold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Lets the waits of all agents begin together, once the outage is over."""

        def sleep(shipper: Shipper, seconds: float) -> None:
            if not self.is_away.is_set():
                return
            self.waits.setdefault(f"mat_{self.shippers.index(shipper)}", seconds)
            self.is_over.wait(60)
            shipper._stopping.wait(seconds * PACE)

        monkeypatch.setattr(Shipper, "_sleep", sleep)

    def record(self, name: str) -> None:
        """Records one event at each agent."""
        for number, store in enumerate(self.stores):
            store.record([event(f"{name}-{number}")], receive_time_us=NOW_US)

    def is_drained(self) -> bool:
        return all(store.writer.state.positions.buffered_count == 0 for store in self.stores)


@pytest.fixture
def world(memory_store: SqlStore) -> IngestWorld:
    world = IngestWorld(memory_store)
    with memory_store.write() as unit:
        for number in range(AGENT_COUNT):
            unit.agents.enroll(
                agent_id=f"agt_{number}",
                name=f"host-{number}",
                token_sha256=hashlib.sha256(f"mat_{number}".encode()).hexdigest(),
                create_time=START,
            )
    return world


def started(world: IngestWorld, *, port: int) -> IngestServer:
    server = IngestServer(store=world.store, clock=world.clock, listen=f"127.0.0.1:{port}")
    server.start()
    return server


@pytest.mark.timeout(180)
def test_two_hundred_agents_come_back_spread_over_time_and_all_drain(
    world: IngestWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = started(world, port=0)
    port = server.port
    with ExitStack() as stack:
        fleet = Fleet(tmp_path, address=f"127.0.0.1:{port}", stack=stack)
        fleet.watch(monkeypatch)
        fleet.hold(monkeypatch)
        fleet.record("before")
        for shipper in fleet.shippers:
            shipper.start()
        wait_until(fleet.is_drained, seconds=60)
        fleet.is_away.set()
        server.stop()
        fleet.record("during")
        wait_until(lambda: len(fleet.waits) == AGENT_COUNT)
        server = started(world, port=port)
        stack.callback(server.stop)
        restart = time.monotonic()
        fleet.is_over.set()
        wait_until(fleet.is_drained, seconds=60)
        calls = [call for call in fleet.calls if call[0] >= restart]
    first: dict[str, float] = {}
    for at, token, _ in calls:
        first.setdefault(token, at - restart)
    assert len(first) == AGENT_COUNT
    waits = fleet.waits
    assert all(at >= waits[token] * PACE for token, at in first.items())
    # A window of a second that begins with any wait, so that no border hides a crowd.
    busiest = max(
        sum(begin <= wait < begin + 1 for wait in waits.values()) for begin in waits.values()
    )
    assert busiest <= BUSIEST_SECOND_MAX
    # The sessions go on: a restart of the server is no reason to open 200 new ones.
    assert Counter(name for _, _, name in calls)["open_session"] == 0
    # 1,200 tokens an event, 2 events an agent, each counted once: 1,200 x 2 x 200.
    assert sum(world.totals().values()) == 480_000
