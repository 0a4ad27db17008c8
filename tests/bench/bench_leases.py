"""What leases of 10,000 customers cost the server in calls: one agent, one real server.

Every customer has a hard limit of its own. First all are asked for cold, by callers that wait for
each answer, as after the start of a host: each first call needs a lease, and calls that need one at
a time share one AcquireLease. Then calls go on, spread over all customers. The agent counts its
calls; the second with the most of them is told too.
"""

import hashlib
import itertools
import random
import secrets
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import grpc

from billing_server.domain.catalog.limit import Limit, LimitSubject, LimitWindow, WindowUnit
from billing_server.domain.catalog.model import Meter
from billing_server.domain.subscription.model import Customer
from billing_server.store.unit_of_work import open_store
from metering.api.v1 import agent_pb2, agent_pb2_grpc
from metering.ids import uuid7
from tests.bench.programs import agent_on, bench_directory, module_on, two_cores, uplink_options
from tests.bench.row import BenchRow
from tools.programs import free_port

CUSTOMER_COUNT: Final = 10_000
CALLERS: Final = 64
"""That ask for cold customers at a time."""
CALLS_PER_SECOND: Final = 100
"""In the steady part, over all customers."""
STEADY_FACTOR: Final = 6
"""The steady part lasts so many times as long as another bench's figure: leases age slowly."""
LIMIT: Final = 1_000_000
TOKENS: Final = 500
SYNCS, ASKS = "meter_agent_lease_syncs_total", "meter_agent_lease_asks_total"


class Counts(NamedTuple):
    """Calls that were answered so far."""

    syncs: int
    asks: int
    at: float
    """Monotonic clock, seconds: a busy agent tells its counters late."""


def run(*, seconds: float) -> list[BenchRow]:
    """Measures each part; the steady one for six times `seconds` seconds."""
    with two_cores() as (core, other), bench_directory("leases") as directory:
        token = _prepare(directory / "server")
        server, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        serve = [
            "billing_server",
            "serve",
            f"--data-dir={directory / 'server'}",
            f"--grpc-listen={server}",
            f"--http-listen=127.0.0.1:{free_port()}",
        ]
        address = f"unix:{directory / 'a.sock'}"
        extra = uplink_options(server, token=token, directory=directory)
        with (
            module_on(other, serve),
            agent_on(
                core,
                directory / "agent",
                address=address,
                extra=[*extra, f"--admin-listen={admin}"],
            ),
            grpc.insecure_channel(address) as channel,
        ):
            calls = _Calls(channel)
            watch = _Watch(admin)
            calls.make("customer-00000")
            cold = watch.over(calls.ask_all_cold)
            steady = watch.over(lambda: calls.go_on(seconds=seconds * STEADY_FACTOR))
            return [*_rows("cold", cold, calls.cold), *_rows("steady", steady, calls.steady)]


def _prepare(data_dir: Path) -> str:
    """Makes a database of customers with a limit each, and an agent; returns the agent's token."""
    data_dir.mkdir()
    token, start = f"mat_{secrets.token_hex(16)}", datetime.now(UTC)
    limit = Limit(
        key="a-month",
        subject=LimitSubject.METER,
        meter="output_tokens",
        maximum=Decimal(LIMIT),
        window=LimitWindow(WindowUnit.MONTH),
    )
    store = open_store(f"sqlite:///{data_dir / 'billing.db'}")
    with store.write() as unit:
        meter = Meter(key="output_tokens", unit="token", quantity="output_tokens")
        unit.catalog.put_meter(meter, update_time=start)
        for number in range(CUSTOMER_COUNT):
            customer = Customer(id=_customer(number), name="", limits=(limit,))
            unit.customers.add(customer, create_time=start)
        unit.agents.enroll(
            agent_id="agt_bench",
            name="bench",
            token_sha256=hashlib.sha256(token.encode()).hexdigest(),
            create_time=start,
        )
    store.close()
    return token


def _customer(number: int) -> str:
    return f"customer-{number:05}"


class _Tally:
    """What became of the calls of one part."""

    def __init__(self) -> None:
        self.granted = 0
        self.refused: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, answer: agent_pb2.ReserveQuotaResponse) -> None:
        with self._lock:
            if answer.decision == agent_pb2.DECISION_GRANTED:
                self.granted += 1
            else:
                self.refused[answer.denial.reason] += 1

    @property
    def text(self) -> str:
        """The counts in words."""
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.refused.items()))
        return f"{self.granted:,} calls granted, {reasons or 'none'} refused"


class _Calls:
    """Callers of the agent."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._agent: Any = agent_pb2_grpc.AgentServiceStub(channel)
        self._random = random.Random(1)
        self.cold, self.steady = _Tally(), _Tally()

    def make(self, customer: str, *, tally: _Tally | None = None) -> None:
        """Reserves for a call and settles a part of it."""
        name = uuid7()
        reserve = agent_pb2.ReserveQuotaRequest(
            reservation_id=name, customer_id=customer, quantities={"output_tokens": str(TOKENS)}
        )
        answer = self._agent.ReserveQuota(reserve, wait_for_ready=True)
        if answer.decision == agent_pb2.DECISION_GRANTED:
            used = {"output_tokens": str(TOKENS // 2)}
            self._agent.SettleReservation(
                agent_pb2.SettleReservationRequest(reservation_id=name, quantities=used)
            )
        if tally is not None:
            tally.count(answer)

    def ask_all_cold(self) -> None:
        """Asks once for every customer, as fast as the callers are answered."""
        numbers = itertools.count()

        def work() -> None:
            while (number := next(numbers)) < CUSTOMER_COUNT:
                self.make(_customer(number), tally=self.cold)

        threads = [threading.Thread(target=work) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def go_on(self, *, seconds: float) -> None:
        """Calls at a steady pace for customers drawn at random."""
        began = time.monotonic()
        for number in range(int(seconds * CALLS_PER_SECOND)):
            time.sleep(max(began + number / CALLS_PER_SECOND - time.monotonic(), 0))
            customer = _customer(self._random.randrange(CUSTOMER_COUNT))
            self.make(customer, tally=self.steady)


class _Watch:
    """Reads the agent's counters every second."""

    def __init__(self, admin: str) -> None:
        self._url = f"http://{admin}/metrics"

    def over(self, work: Callable[[], None]) -> list[Counts]:
        """Does the work; returns the counters each second meanwhile, and at its end."""
        counts, done = [self.counts()], threading.Event()

        def look() -> None:
            while not done.wait(1.0):
                counts.append(self.counts())

        looker = threading.Thread(target=look)
        looker.start()
        work()
        done.set()
        looker.join()
        return [*counts, self.counts()] if len(counts) == 1 else counts

    def counts(self) -> Counts:
        """Returns the counters now."""
        with urllib.request.urlopen(self._url, timeout=10) as answer:  # noqa: S310 - our own agent
            lines = answer.read().decode().splitlines()
        found = dict(line.rsplit(" ", 1) for line in lines if line.startswith((SYNCS, ASKS)))
        return Counts(int(float(found[SYNCS])), int(float(found[ASKS])), time.monotonic())


def _rows(part: str, counts: list[Counts], tally: _Tally) -> list[BenchRow]:
    seconds = counts[-1].at - counts[0].at
    rows = []
    for name, goal, column in (("SyncLeases", "≤ 1", 0), ("AcquireLease", "≤ 20", 1)):
        steps = [after[column] - before[column] for before, after in itertools.pairwise(counts)]
        mean = sum(steps) / seconds
        note = f"{max(steps)} in the busiest second; {tally.text} in {seconds:.0f} s"
        rows.append(
            BenchRow(f"{CUSTOMER_COUNT:,} customers, {part}: {name}", mean, "/s", goal, note)
        )
    return rows
