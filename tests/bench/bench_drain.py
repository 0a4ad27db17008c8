"""An agent with a backlog of 3,000,000 events: how soon it serves, and how fast it ships.

The backlog lies in blocks of 1,000 events of two quantities and two dimensions, one of 1,000
customers each. The agent runs on one core, the server on the other. The stub takes every push
without looking at its events, so its figure is the agent's alone. The real server counts and rates
each event in two meters on SQLite; what it applies at best is measured beside, with pushes that
were made beforehand by a client that does nothing else.
"""

import itertools
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from metering.api.v1 import agent_pb2, agent_pb2_grpc
from tests.bench.backlog import copy_backlog, make_backlog
from tests.bench.programs import (
    Running,
    agent_on,
    bench_directory,
    cpu_seconds,
    fsync_row,
    module_on,
    resident_megabytes,
    two_cores,
    uplink_options,
)
from tests.bench.real_server import RealServer, pushed_per_second
from tests.bench.row import BenchRow
from tests.bench.usage_load import record_usage_call, usage_requests

EVENT_COUNT = 3_000_000
MILLION = 1_000_000
START_COUNT = 3
LOAD_SECONDS = 1.0
POLL_SECONDS = 0.25
CALL_SECONDS = 30.0


def run(*, seconds: float, event_count: int = EVENT_COUNT) -> list[BenchRow]:
    """Drains the whole backlog to the stub, and for four times `seconds` to the real server."""
    with two_cores() as (core, other), bench_directory("drain") as directory:
        kept = directory / "kept"
        size = make_backlog(kept, event_count=event_count)
        disk = (kept / "agent.db").stat().st_size
        backlog = f"with {event_count:,} events buffered"
        return [
            fsync_row(directory),
            BenchRow(
                f"bytes on disk of a buffered event, {event_count:,} of them",
                disk / event_count,
                "bytes",
                "",
                f"{size / event_count:.0f} bytes of it are the event as it came",
            ),
            *_ready_rows(directory, kept, core=core, backlog=backlog),
            *_stub_rows(directory, kept, cores=(core, other), event_count=event_count),
            *_server_rows(directory, kept, cores=(core, other), seconds=seconds * 4),
        ]


def _ready_rows(directory: Path, kept: Path, *, core: int, backlog: str) -> list[BenchRow]:
    """Times from the start of the process to the first event answered OK."""
    data_dir = directory / "ready"
    copy_backlog(kept, data_dir)
    clean, killed = [], []
    for _ in range(START_COUNT):
        clean.append(_start_seconds(data_dir, core, end=signal.SIGKILL))
        killed.append(_start_seconds(data_dir, core, end=signal.SIGTERM))
    return [
        BenchRow(f"first event OK after a clean stop, {backlog}", max(clean), "s", "≤ 1"),
        BenchRow(f"first event OK after a kill under load, {backlog}", max(killed), "s", "≤ 5"),
    ]


def _start_seconds(data_dir: Path, core: int, *, end: signal.Signals) -> float:
    """Returns how long a start takes until the first answer; then records, and ends the agent."""
    began = time.perf_counter()
    with _agent(data_dir, core) as running:
        with record_usage_call(_address(data_dir)):
            took = time.perf_counter() - began
        _load(_address(data_dir))
        running.end(end)
    return took


def _load(address: str) -> None:
    """Leaves commits in the log that a kill finds there."""
    bodies = itertools.cycle(usage_requests(1_000, count=4))
    end = time.monotonic() + LOAD_SECONDS
    with record_usage_call(address) as call:
        while time.monotonic() < end:
            call(next(bodies), timeout=CALL_SECONDS)


def _stub_rows(
    directory: Path, kept: Path, *, cores: tuple[int, int], event_count: int
) -> list[BenchRow]:
    data_dir = directory / "stub"
    copy_backlog(kept, data_dir)
    core, other = cores
    with (
        module_on(other, ["tests.bench.stub_server", str(event_count)]) as server,
        _agent(data_dir, core, server=server.banner, token="bench") as running,
    ):
        took = float(server.next_line())
        cpu = cpu_seconds(running.pid)
        peak = resident_megabytes(running.pid, field="VmHWM")
    return [
        BenchRow(
            "events/s drained to a stub server",
            event_count / took,
            "events/s",
            "≥ 60,000",
            f"{event_count / cpu:,.0f} a second of the agent's processor time",
        ),
        BenchRow("… the agent's peak memory", peak, "MB", "≤ 150"),
        BenchRow("… the agent's CPU for a million of them", cpu / event_count * MILLION, "s"),
    ]


def _server_rows(
    directory: Path, kept: Path, *, cores: tuple[int, int], seconds: float
) -> list[BenchRow]:
    data_dir = directory / "real"
    copy_backlog(kept, data_dir)
    core, other = cores
    with RealServer(directory / "server", core=other) as server:
        limit = pushed_per_second(server.address, token=server.enroll("limit"), seconds=seconds)
        with _agent(data_dir, core, server=server.address, token=server.enroll("agent")) as running:
            drained = _drained_per_second(_address(data_dir), seconds=seconds)
            peak = resident_megabytes(running.pid, field="VmHWM")
    return [
        BenchRow(
            "events/s drained to a real server on SQLite",
            drained,
            "events/s",
            "",
            f"for {seconds:.0f} s; pushes made beforehand: {limit:,.0f} events/s",
        ),
        BenchRow("… of what the server applies", drained / limit * 100, "%", "≥ 80"),
        BenchRow("… the agent's peak memory", peak, "MB", "≤ 150"),
    ]


def _drained_per_second(address: str, *, seconds: float) -> float:
    """Returns the pace of the acked position, from the first ack on."""
    with grpc.insecure_channel(address) as channel:
        stub = agent_pb2_grpc.AgentServiceStub(channel)

        def applied() -> int:
            request = agent_pb2.GetAgentStatusRequest()
            return stub.GetAgentStatus(request, timeout=CALL_SECONDS).applied_seq

        while applied() == 0:
            time.sleep(POLL_SECONDS)
        began, first = time.perf_counter(), applied()
        time.sleep(seconds)
        last = applied()
        return (last - first) / (time.perf_counter() - began)


@contextmanager
def _agent(data_dir: Path, core: int, *, server: str = "", token: str = "") -> Iterator[Running]:
    uplink = uplink_options(server, token=token, directory=data_dir) if server else []
    with agent_on(core, data_dir, address=_address(data_dir), extra=uplink) as running:
        yield running


def _address(data_dir: Path) -> str:
    return f"unix:{data_dir}/a.sock"
