"""Kills agent and server at random moments under load: each answered event is billed once.

Method: callers send events one after another and repeat each, under its own id, until it is
answered OK; now and then they repeat one that was answered already. Meanwhile one of the two
programs at a time is ended with SIGKILL at a random moment and started again. Afterwards the
month is closed, and each customer's invoice must hold exactly the sum of what was answered OK.
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from metering import Meter
from metering.api.v1 import agent_pb2, agent_pb2_grpc, usage_pb2
from metering.ids import uuid7
from tests.e2e.world import World
from tests.support.forked_program import ForkedProgram
from tests.support.told_counts import TellCounts

KILLS_IN_CI = 50
KILLS_IN_SOAK = int(os.environ.get("KILLS", "1000"))
CALLERS = 3
PAUSE_SECONDS = 0.01
BUFFERED_EVENTS_MAX = 20_000
"""Where more wait at the agent, callers wait too: a slow machine can drain what it gets."""
CALLS_BETWEEN_LOOKS = 20
CUSTOMERS = [f"customer-{number}" for number in range(5)]
SDK_CUSTOMER = "customer-sdk"


class Caller(threading.Thread):
    """One inference service: sends events and repeats each until it is answered OK."""

    def __init__(self, world: World, *, seed: int, is_over: threading.Event) -> None:
        """Draws everything from `seed`."""
        super().__init__(name=f"caller-{seed}", daemon=True)
        self.answered: Counter[str] = Counter()
        self.problems: list[str] = []
        self._world = world
        self._draw = random.Random(seed)
        self._is_over = is_over

    def run(self) -> None:
        """Sends until the test is over; the event in hand is brought to its end."""
        options = [
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 200),
        ]
        with grpc.insecure_channel(self._world.agent_address, options=options) as channel:
            stub = agent_pb2_grpc.AgentServiceStub(channel)
            while not self._is_over.is_set():
                events = [self._event() for _ in range(self._draw.randint(1, 20))]
                self._send_until_ok(stub, events)
                if self._draw.random() < 0.2:
                    self._send_until_ok(stub, events)
                for event in events:
                    self.answered[event.customer_id] += int(event.quantities["input_tokens"])
                self._is_over.wait(PAUSE_SECONDS)
                if self._draw.randrange(CALLS_BETWEEN_LOOKS) == 0:
                    self._wait_for_the_server(stub)

    def _wait_for_the_server(self, stub: agent_pb2_grpc.AgentServiceStub) -> None:
        """Keeps the pace to one that the server holds, however slow the machine."""
        while not self._is_over.wait(PAUSE_SECONDS):
            try:
                status = stub.GetAgentStatus(agent_pb2.GetAgentStatusRequest(), timeout=10)
            except grpc.RpcError:
                return
            if status.buffered_event_count < BUFFERED_EVENTS_MAX:
                return

    def _event(self) -> usage_pb2.UsageEvent:
        when = Timestamp()
        when.FromDatetime(self._world.event_time)
        return usage_pb2.UsageEvent(
            event_id=uuid7(),
            customer_id=self._draw.choice(CUSTOMERS),
            event_time=when,
            quantities={"input_tokens": str(self._draw.randint(1, 5000))},
        )

    def _send_until_ok(
        self, stub: agent_pb2_grpc.AgentServiceStub, events: list[usage_pb2.UsageEvent]
    ) -> None:
        request = agent_pb2.RecordUsageRequest(events=events)
        while True:
            try:
                reply = stub.RecordUsage(request, timeout=10)
            except grpc.RpcError:
                time.sleep(self._draw.uniform(0.01, 0.1))
                continue
            if reply.accepted_count != len(events):
                self.problems.append(str(reply.rejected))
            return


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(tmp_path, customer_ids=[*CUSTOMERS, SDK_CUSTOMER])
    if request.node.get_closest_marker("long") is None:  # The soak has the time to load them anew.
        made.server = ForkedProgram.like(made.server)
        made.agent = ForkedProgram.like(made.agent)
    made.start()
    yield made
    made.stop()


class Killer(threading.Thread):
    """Ends one of the two programs after the other and starts it again."""

    def __init__(self, world: World, *, kills: int, seed: int) -> None:
        """Draws every moment from `seed`."""
        super().__init__(name="killer", daemon=True)
        self.kill_count = 0
        self._world = world
        self._wanted = kills
        self._draw = random.Random(seed)

    def run(self) -> None:
        """Kills as often as was asked for; where a program does not come back, it ends early."""
        while self.kill_count < self._wanted:
            program = (self._world.agent, self._world.server)[self.kill_count % 2]
            time.sleep(self._draw.uniform(0.0, 0.5))
            program.kill()
            program.start()
            self.kill_count += 1


def _run(world: World, *, kills: int, seed: int) -> int:
    """Kills so often and compares what was answered with what is billed; returns its tokens."""
    is_over = threading.Event()
    callers = [Caller(world, seed=seed + n, is_over=is_over) for n in range(CALLERS)]
    for caller in callers:
        caller.start()
    sdk_total = 0
    with Meter(address=world.agent_address) as meter:
        killer = Killer(world, kills=kills, seed=seed)
        killer.start()
        while killer.is_alive():
            meter.record(
                customer=SDK_CUSTOMER,
                quantities={"input_tokens": 7},
                event_time=world.event_time,
            )
            sdk_total += 7
            killer.join(timeout=0.01)
        is_over.set()
        for caller in callers:
            caller.join(timeout=60)
        assert meter.flush(timeout=30)
        assert meter.stats().dropped == 0
    assert killer.kill_count == kills
    assert [problem for caller in callers for problem in caller.problems] == []
    world.drain()
    answered = sum((caller.answered for caller in callers), Counter({SDK_CUSTOMER: sdk_total}))
    # $0.01 a token: the total in cents is the number of tokens.
    expected = {
        name: (str(tokens), f"{tokens // 100}.{tokens % 100:02d}")
        for name, tokens in answered.items()
    }
    assert world.close_month() == expected
    return answered.total()


@pytest.mark.timeout(600)
def test_every_answered_event_is_billed_once_through_kills_of_both_programs(world: World) -> None:
    _run(world, kills=KILLS_IN_CI, seed=1)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_every_answered_event_is_billed_once_through_a_soak_of_kills(
    world: World, tell_counts: TellCounts
) -> None:
    billed = _run(world, kills=KILLS_IN_SOAK, seed=2)
    counts = {"kills": KILLS_IN_SOAK, "tokens answered OK, each billed once": billed}
    tell_counts("kills of both programs", counts)
