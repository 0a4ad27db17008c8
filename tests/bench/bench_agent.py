"""What one agent on one core makes durable, beside an empty handler and beside bare SQLite.

The agent is a process of its own, pinned to one core; the caller runs on another. Every event has
two quantities and two dimensions and is one of 1,000 customers. Each answer means that the events
were validated and are behind an fsync. The figures are medians over the rounds of one run.
"""

import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from meter_agent.store.database import open_writer
from meter_agent.store.group import Append, Ticket
from meter_agent.store.outbox import Outbox
from metering.api.v1.agent_pb2 import RecordUsageRequest
from tests.bench.programs import (
    Running,
    agent_on,
    bench_directory,
    cpu_seconds,
    fsync_row,
    module_on,
    resident_megabytes,
    two_cores,
)
from tests.bench.row import BenchRow
from tests.bench.usage_load import call_for, record_usage_call, usage_requests

SETTLE_SECONDS = 1.0
MILLION = 1_000_000
BATCHES = ((1_000, 4, "≥ 60,000"), (100, 16, "≥ 40,000"))
"""Events a request, requests in flight, and the goal in events/s."""


@dataclass(frozen=True, slots=True)
class Durable:
    """What an agent made durable."""

    calls_per_second: float
    """Answered OK."""
    cpu_seconds_per_call: float
    """Of the agent's process."""
    disk_bytes_per_call: float
    """By which its database and log grew."""


def run(*, seconds: float) -> list[BenchRow]:
    """Measures each figure for about `seconds` seconds."""
    with two_cores() as (core, _), bench_directory("agent") as directory:
        idle = _idle_megabytes(directory, core)
        rows = [
            fsync_row(directory),
            BenchRow("agent, idle: resident memory", idle, "MB", "≤ 70"),
        ]
        for size, in_flight, goal in BATCHES:
            rows += _batch_rows(
                directory, core=core, seconds=seconds, size=size, in_flight=in_flight, goal=goal
            )
        return rows + _single_rows(directory, core=core, seconds=seconds)


def _batch_rows(
    directory: Path, *, core: int, seconds: float, size: int, in_flight: int, goal: str
) -> list[BenchRow]:
    bodies = usage_requests(size)
    agent = _durable(directory, bodies, core=core, in_flight=in_flight, seconds=seconds)
    durable = agent.calls_per_second * size
    with _empty("threaded", directory, core) as address, record_usage_call(address) as call:
        answered = call_for(call, bodies, in_flight=in_flight, seconds=seconds)
        empty = answered.calls_per_second * size
    bare = _bare_appends_per_second(directory, bodies, core, seconds) * size
    note = (
        f"{durable / empty:.0%} of an empty handler ({empty:,.0f}), {durable / bare:.0%} of "
        f"bare SQLite appends ({bare:,.0f})"
    )
    load = f"{size:,} a request, {in_flight} in flight"
    payload = sum(len(body) for body in bodies) / len(bodies) / size
    return [
        BenchRow(f"durable events/s, {load}", durable, "events/s", goal, note),
        BenchRow(
            f"… the agent's CPU for a million of them, {size:,} a request",
            agent.cpu_seconds_per_call / size * MILLION,
            "s",
        ),
        BenchRow(
            f"… bytes on disk of a buffered event, {size:,} a request",
            agent.disk_bytes_per_call / size,
            "bytes",
            "",
            f"{payload:.0f} bytes of it are the event as it came",
        ),
    ]


def _single_rows(directory: Path, *, core: int, seconds: float) -> list[BenchRow]:
    bodies = usage_requests(1)
    figures = {}
    for kind in ("threaded", "asyncio"):
        with _empty(kind, directory, core) as address, record_usage_call(address) as call:
            answered = call_for(call, bodies, in_flight=64, seconds=seconds)
            figures[kind] = answered.calls_per_second
    agent = _durable(directory, bodies, core=core, in_flight=64, seconds=seconds)
    share = agent.calls_per_second / max(figures.values())
    return [
        *(
            BenchRow(f"empty {kind} handler, 64 in flight", value, "calls/s")
            for kind, value in figures.items()
        ),
        BenchRow(
            "durable calls/s, 1 event a request, 64 in flight",
            agent.calls_per_second,
            "calls/s",
            "≥ 1,700",
        ),
        BenchRow("… of the faster empty handler", share * 100, "%", "≥ 55"),
        BenchRow(
            "… the agent's CPU for a million of them, 1 a request",
            agent.cpu_seconds_per_call * MILLION,
            "s",
        ),
    ]


def _durable(
    directory: Path, bodies: list[bytes], *, core: int, in_flight: int, seconds: float
) -> Durable:
    with (
        _agent(directory, core) as (running, data_dir),
        record_usage_call(_address(data_dir)) as call,
    ):
        cpu_before, disk_before = cpu_seconds(running.pid), _disk_bytes(data_dir)
        answered = call_for(call, bodies, in_flight=in_flight, seconds=seconds)
        disk_bytes = _disk_bytes(data_dir) - disk_before
        return Durable(
            calls_per_second=answered.calls_per_second,
            cpu_seconds_per_call=(cpu_seconds(running.pid) - cpu_before) / answered.call_count,
            disk_bytes_per_call=disk_bytes / answered.call_count,
        )


def _disk_bytes(data_dir: Path) -> int:
    return sum(path.stat().st_size for path in data_dir.glob("agent.db*"))


@contextmanager
def _agent(directory: Path, core: int, *extra: str) -> Iterator[tuple[Running, Path]]:
    """Runs an agent on a fresh data directory; yields it and the directory."""
    with tempfile.TemporaryDirectory(dir=directory) as name:
        data_dir = Path(name)
        with agent_on(core, data_dir, address=_address(data_dir), extra=extra) as running:
            yield running, data_dir


def _address(data_dir: Path) -> str:
    return f"unix:{data_dir}/a.sock"


@contextmanager
def _empty(kind: str, directory: Path, core: int) -> Iterator[str]:
    """Runs an empty handler of the kind; yields its address."""
    address = f"unix:{directory / kind}.sock"
    with module_on(core, ["tests.bench.empty_server", kind, address]):
        yield address


def _bare_appends_per_second(
    directory: Path, bodies: list[bytes], core: int, seconds: float
) -> float:
    """Returns the blocks a second that the store alone makes durable, one commit each."""
    before = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory(dir=directory) as data_dir:
        path = Path(data_dir) / "agent.db"
        outbox = Outbox(path, connection=open_writer(path))
        size = len(RecordUsageRequest.FromString(bodies[0]).events)
        try:
            os.sched_setaffinity(0, {core})
            return _repeat(_committing(outbox, bodies, size), seconds=seconds)
        finally:
            os.sched_setaffinity(0, before)
            outbox.close()


def _committing(outbox: Outbox, bodies: list[bytes], size: int) -> Callable[[], None]:
    blocks = itertools.cycle(bodies)

    def commit() -> None:
        outbox.commit([Append(size, 1, 1, next(blocks), Ticket())])
        if outbox.is_checkpoint_due:
            outbox.checkpoint()

    return commit


def _repeat(action: Callable[[], None], *, seconds: float) -> float:
    start = time.perf_counter()
    count = 0
    while time.perf_counter() - start < seconds:
        action()
        count += 1
    return count / (time.perf_counter() - start)


def _idle_megabytes(directory: Path, core: int) -> float:
    """Returns the resident memory of an agent that has answered nothing yet."""
    # With a server that is away, so that the uplink's part is in the figure as well.
    with _agent(directory, core, "--server=127.0.0.1:9") as (running, _):
        time.sleep(SETTLE_SECONDS)
        return resident_megabytes(running.pid)
