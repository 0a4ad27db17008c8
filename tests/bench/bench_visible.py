"""From `Meter.record` until the use is in the live charge that the server's API shows.

A real agent on one core, a real server on SQLite on the other. A use of one customer is recorded,
and the upcoming invoice of that customer is asked for over and over until its amount has grown;
then comes the next use. "Idle": nothing else happens. "Moderate load": 1,000 customers' events of
two meters pass at 1,000 events/s meanwhile.
"""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from metering import Meter
from metering.api.v1 import agent_pb2, agent_pb2_grpc
from tests.bench.programs import agent_on, bench_directory, quantile, two_cores, uplink_options
from tests.bench.real_server import RealServer, ServerClock
from tests.bench.row import BenchRow
from tests.bench.server_world import CUSTOMER_COUNT, customer_name

LOAD_EVENTS_PER_SECOND = 1_000
PROBED = customer_name(0)
TOKENS = 1_000
MILLISECONDS = 1_000
VISIBLE_SECONDS_MAX = 60.0
WARM_UP_SECONDS_MAX = 120.0
POLL_SECONDS = 0.01
"""Between two looks: looking without a pause would be a load of its own."""


def run(*, seconds: float) -> list[BenchRow]:
    """Probes for twice `seconds` seconds idle, and as long under load."""
    with (
        two_cores() as (core, other),
        bench_directory("visible") as directory,
        RealServer(directory / "server", core=other, clock=ServerClock.REAL) as server,
    ):
        address = f"unix:{directory}/a.sock"
        uplink = uplink_options(server.address, token=server.enroll("agent"), directory=directory)
        with (
            agent_on(core, directory / "agent", address=address, extra=uplink),
            Meter(address) as meter,
        ):
            probe = _Probe(meter, server)
            idle = probe.times(seconds=seconds * 2)
            _warm_up(meter, address)
            with _load(meter):
                busy = probe.times(seconds=seconds * 2)
    return [
        *_rows("idle", idle),
        *_rows(f"at {LOAD_EVENTS_PER_SECOND:,} events/s", busy),
    ]


def _rows(name: str, times: list[float]) -> list[BenchRow]:
    note = f"{len(times)} uses, slowest {max(times) * MILLISECONDS:,.0f} ms"
    return [
        BenchRow(f"used → visible, {name}: median", quantile(times, 0.5) * MILLISECONDS, "ms"),
        BenchRow(
            f"used → visible, {name}: p99",
            quantile(times, 0.99) * MILLISECONDS,
            "ms",
            "≤ 1,000",
            note,
        ),
    ]


class _Probe:
    """Records one use after another and looks for each."""

    def __init__(self, meter: Meter, server: RealServer) -> None:
        self._meter = meter
        self._connection = http.client.HTTPConnection(server.http_address, timeout=10)
        key = (server.data_dir / "admin.key").read_text(encoding="ascii").strip()
        self._headers = {"Authorization": f"Bearer {key}"}
        self._once()  # The first one opens connections and a session.

    def times(self, *, seconds: float) -> list[float]:
        """Returns how long each use took to be seen."""
        # The server has ended it meanwhile; the next request opens another.
        self._connection.close()
        end = time.perf_counter() + seconds
        found = [self._once()]
        while time.perf_counter() < end:
            found.append(self._once())
        return found

    def _once(self) -> float:
        before = self._quantity()
        began = time.perf_counter()
        self._meter.record(customer=PROBED, quantities={"input_tokens": TOKENS})
        while self._quantity() < before + TOKENS:
            time.sleep(POLL_SECONDS)
            assert time.perf_counter() - began < VISIBLE_SECONDS_MAX, "never seen"
        return time.perf_counter() - began

    def _quantity(self) -> int:
        """Returns the tokens of the live charge; the load leaves this customer out."""
        path = f"/v1/customers/{PROBED}/upcoming-invoice"
        self._connection.request("GET", path, headers=self._headers)
        answer = json.load(self._connection.getresponse())
        return sum(int(line["quantity"]) for line in _lines(answer))


def _lines(answer: dict) -> list[dict]:
    return [line for line in answer["lines"] if line["price"] == "input_tokens"]


def _warm_up(meter: Meter, address: str) -> None:
    """Lets the server meet every customer once: a running one has read their prices long ago."""
    for number in range(CUSTOMER_COUNT):
        _record(meter, number)
    assert meter.flush(timeout=WARM_UP_SECONDS_MAX)
    end = time.monotonic() + WARM_UP_SECONDS_MAX
    with grpc.insecure_channel(address) as channel:
        stub = agent_pb2_grpc.AgentServiceStub(channel)
        while stub.GetAgentStatus(agent_pb2.GetAgentStatusRequest()).buffered_event_count:
            assert time.monotonic() < end, "the server does not keep up"
            time.sleep(0.1)


def _record(meter: Meter, number: int) -> None:
    meter.record(
        customer=customer_name(number),
        quantities={"input_tokens": number, "output_tokens": number},
        dimensions={"model": "large", "region": "eu"},
    )


@contextmanager
def _load(meter: Meter) -> Iterator[None]:
    """Records for all other customers at a steady pace."""
    is_over = threading.Event()
    batch = LOAD_EVENTS_PER_SECOND // 100

    def work() -> None:
        numbers = itertools.cycle(range(1, CUSTOMER_COUNT))
        while not is_over.wait(0.01):
            for number in itertools.islice(numbers, batch):
                _record(meter, number)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
