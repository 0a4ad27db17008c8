"""What holding quota costs a call, beside an empty call and a group commit of the same run.

The agent is a process of its own, pinned to one core; caller and server share another. The lease is
warm: nothing is asked of the server. Calls of all kinds take turns, so that all see the same disk.
The unary ceiling is RecordUsage of one event: a unary call and one group commit, and nothing else.
"""

import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from metering.api.v1 import agent_pb2, agent_pb2_grpc
from metering.api.v1.usage_pb2 import UsageEvent
from metering.ids import uuid7
from tests.bench.programs import (
    agent_on,
    bench_directory,
    fsync_row,
    quantile,
    two_cores,
    uplink_options,
)
from tests.bench.row import BenchRow
from tests.meter_agent.fake_server import TOKEN, FakeServer

LIMIT: Final = 10**12
IN_FLIGHT: Final = 32
CUSTOMER: Final = "acme"
_MS: Final = 1_000


def run(*, seconds: float) -> list[BenchRow]:
    """Measures each figure for about `seconds` seconds."""
    with two_cores() as (core, _), bench_directory("reserve") as directory, FakeServer() as server:
        server.leases.limit(CUSTOMER, "daily", LIMIT)
        socket = f"unix:{directory / 'a.sock'}"
        extra = uplink_options(server.address, token=TOKEN, directory=directory)
        with (
            agent_on(core, Path(directory) / "data", address=socket, extra=extra),
            grpc.insecure_channel(socket) as channel,
        ):
            calls = _Calls(channel)
            calls.warm()
            rows = [fsync_row(directory), *_latency_rows(calls, seconds=seconds)]
            asked = len(server.leases.asks)
            rows += _rate_rows(calls, seconds=seconds)
            note = "the lease is warm" if len(server.leases.asks) == asked else "the lease ran out"
            return [*rows, BenchRow("syncs in all", len(server.leases.syncs), "calls", "", note)]


class _Calls:
    """The calls that are measured."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._agent: Any = agent_pb2_grpc.AgentServiceStub(channel)
        self._health: Any = health_pb2_grpc.HealthStub(channel)

    def warm(self) -> None:
        """Brings a large lease to the agent."""
        self._agent.ReserveQuota(_reserve("warm", amount=LIMIT // 4), wait_for_ready=True)
        self._agent.ReleaseReservation(agent_pb2.ReleaseReservationRequest(reservation_id="warm"))

    def empty(self) -> None:
        """An empty unary call."""
        self._health.Check(health_pb2.HealthCheckRequest())

    def record(self) -> None:
        """A unary call and a group commit."""
        event = UsageEvent(event_id=uuid7(), customer_id="free", quantities={"output_tokens": "1"})
        self._agent.RecordUsage(agent_pb2.RecordUsageRequest(events=[event]))

    def reserve(self) -> str:
        """Holds quota; returns the reservation's id."""
        name = uuid7()
        answer = self._agent.ReserveQuota(_reserve(name, amount=100))
        assert answer.decision == agent_pb2.DECISION_GRANTED
        return name

    def settle(self, name: str) -> None:
        """Ends a reservation."""
        self._agent.SettleReservation(
            agent_pb2.SettleReservationRequest(
                reservation_id=name, quantities={"output_tokens": "60"}
            )
        )

    def pair(self) -> None:
        """Reserves and settles."""
        self.settle(self.reserve())


def _latency_rows(calls: _Calls, *, seconds: float) -> list[BenchRow]:
    times: dict[str, list[float]] = {"empty": [], "record": [], "reserve": [], "settle": []}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        times["empty"].append(_timed(calls.empty))
        times["record"].append(_timed(calls.record))
        started = time.perf_counter()
        name = calls.reserve()
        times["reserve"].append((time.perf_counter() - started) * _MS)
        times["settle"].append(_timed(lambda held=name: calls.settle(held)))
    ceiling = statistics.median(times["record"])
    p50 = statistics.median(times["reserve"])
    return [
        BenchRow("empty unary call, p50", statistics.median(times["empty"]), "ms"),
        BenchRow("unary call and a group commit (RecordUsage of 1), p50", ceiling, "ms"),
        BenchRow("ReserveQuota on a warm lease, p50", p50, "ms"),
        BenchRow("… beside a unary call and a group commit", p50 / ceiling, "×", "≤ 1.3"),
        BenchRow(
            "ReserveQuota on a warm lease, p99", quantile(times["reserve"], 0.99), "ms", "≤ 15"
        ),
        BenchRow("SettleReservation, p50", statistics.median(times["settle"]), "ms"),
    ]


def _rate_rows(calls: _Calls, *, seconds: float) -> list[BenchRow]:
    ceiling = _per_second(calls.record, seconds=seconds)
    pairs = _per_second(calls.pair, seconds=seconds)
    note = f"{2 * pairs / ceiling:.0%} of the unary ceiling ({ceiling:,.0f} durable calls/s)"
    return [
        BenchRow(f"reserve + settle, {IN_FLIGHT} in flight", pairs, "pairs/s", "≥ 500", note),
    ]


def _per_second(call: Callable[[], None], *, seconds: float) -> float:
    """Returns how many calls a second are answered with so many in flight."""
    end = time.monotonic() + seconds
    counts: list[int] = []

    def work() -> None:
        count = 0
        while time.monotonic() < end:
            call()
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=work) for _ in range(IN_FLIGHT)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - started)


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * _MS


def _reserve(name: str, *, amount: int) -> agent_pb2.ReserveQuotaRequest:
    return agent_pb2.ReserveQuotaRequest(
        reservation_id=name, customer_id=CUSTOMER, quantities={"output_tokens": str(amount)}
    )
