"""What one agent on one core makes durable, beside an empty handler and beside bare SQLite.

The agent is a process of its own, pinned to one core; the caller runs on another. Every event has
two quantities and two dimensions and is one of 1,000 customers. Each answer means that the events
were validated and are behind an fsync. The figures are medians over the rounds of one run.
"""

import itertools
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from meter_agent.store.database import open_writer
from meter_agent.store.group import Append, Ticket
from meter_agent.store.outbox import Outbox
from metering.api.v1.agent_pb2 import RecordUsageRequest
from metering.ids import uuid7
from tests.bench.row import BenchRow

ROOT = Path(__file__).resolve().parent.parent.parent
METHOD = "/metering.api.v1.AgentService/RecordUsage"
CUSTOMER_COUNT = 1_000
BODY_COUNT = 20
ROUND_COUNT = 3
FSYNC_COUNT = 100
BUDGET_BYTES = 8 << 30
SETTLE_SECONDS = 1.0


def run(*, seconds: float) -> list[BenchRow]:
    """Measures each figure for about `seconds` seconds."""
    cores = sorted(os.sched_getaffinity(0))
    agent_core, caller_core = cores[0], cores[-1]
    try:
        os.sched_setaffinity(0, {caller_core})
        with tempfile.TemporaryDirectory(prefix="bench-agent-") as name:
            return _rows(Path(name), core=agent_core, seconds=seconds)
    finally:
        os.sched_setaffinity(0, cores)


def _rows(directory: Path, *, core: int, seconds: float) -> list[BenchRow]:
    rows = [
        BenchRow("fsync of 4 KiB, median", _fsync_seconds(directory) * 1_000, "ms"),
        BenchRow("agent, idle: resident memory", _idle_megabytes(directory, core), "MB", "≤ 70"),
    ]
    rows += _batch_rows(directory, core=core, seconds=seconds)
    rows += _single_rows(directory, core=core, seconds=seconds)
    return rows


def _batch_rows(directory: Path, *, core: int, seconds: float) -> list[BenchRow]:
    rows = []
    for size, in_flight, goal in ((1_000, 4, "≥ 30,000"), (100, 16, "")):
        bodies = _bodies(size)
        with _agent(directory, core) as address:
            durable = _calls_per_second(address, bodies, in_flight, seconds) * size
        with _empty("threaded", directory, core) as address:
            empty = _calls_per_second(address, bodies, in_flight, seconds) * size
        bare = _bare_appends_per_second(directory, bodies, core, seconds) * size
        note = (
            f"{durable / empty:.0%} of an empty handler ({empty:,.0f}), {durable / bare:.0%} of "
            f"bare SQLite appends ({bare:,.0f})"
        )
        name = f"durable events/s, {size:,} a request, {in_flight} in flight"
        rows.append(BenchRow(name, durable, "events/s", goal, note))
    return rows


def _single_rows(directory: Path, *, core: int, seconds: float) -> list[BenchRow]:
    bodies = _bodies(1)
    figures = {}
    for kind in ("threaded", "asyncio"):
        with _empty(kind, directory, core) as address:
            figures[kind] = _calls_per_second(address, bodies, 64, seconds)
    with _agent(directory, core) as address:
        durable = _calls_per_second(address, bodies, 64, seconds)
    share = durable / max(figures.values())
    return [
        BenchRow(f"empty {kind} handler, 64 in flight", value, "calls/s")
        for kind, value in figures.items()
    ] + [
        BenchRow("durable calls/s, 1 event a request, 64 in flight", durable, "calls/s"),
        BenchRow("… of the faster empty handler", share * 100, "%", "≥ 50"),
    ]


def _calls_per_second(address: str, bodies: list[bytes], in_flight: int, seconds: float) -> float:
    """Returns the median over rounds of the calls answered OK in a second."""
    with grpc.insecure_channel(
        address, options=(("grpc.use_local_subchannel_pool", 1),)
    ) as channel:
        call = channel.unary_unary(METHOD)
        call(bodies[0], wait_for_ready=True)
        rounds = [
            _one_round(call, bodies, in_flight, seconds / ROUND_COUNT) for _ in range(ROUND_COUNT)
        ]
    return statistics.median(rounds)


def _one_round(
    call: grpc.UnaryUnaryMultiCallable, bodies: list[bytes], in_flight: int, seconds: float
) -> float:
    slots = threading.Semaphore(in_flight)
    failures: list[grpc.RpcError] = []

    def done(future: grpc.Future) -> None:
        if future.exception() is not None:
            failures.append(future.exception())
        slots.release()

    start = time.perf_counter()
    count = 0
    for body in itertools.cycle(bodies):
        if time.perf_counter() - start >= seconds:
            break
        slots.acquire()
        call.future(body).add_done_callback(done)
        count += 1
    for _ in range(in_flight):
        slots.acquire()
    elapsed = time.perf_counter() - start
    if failures:
        raise failures[0]
    return count / elapsed


def _bodies(size: int) -> list[bytes]:
    """Returns serialized requests of `size` events, as the SDK sends them."""
    now = int(time.time())
    numbers = itertools.count()
    bodies = []
    for _ in range(BODY_COUNT):
        request = RecordUsageRequest()
        for number in itertools.islice(numbers, size):
            event = request.events.add(
                event_id=uuid7(),
                customer_id=f"customer-{number * 7 % CUSTOMER_COUNT}",
                quantities={
                    "input_tokens": str(number * 37 % 20_000),
                    "output_tokens": str(number * 11 % 3_000),
                },
                dimensions={
                    "model": ("large", "small")[number % 2],
                    "region": ("eu", "us")[number // 2 % 2],
                },
            )
            event.event_time.seconds = now - number % 100
            event.event_time.nanos = number * 1_000_003 % 1_000_000_000
        bodies.append(request.SerializeToString())
    return bodies


@contextmanager
def _agent(directory: Path, core: int) -> Iterator[str]:
    """Runs an agent on a fresh data directory; yields its address."""
    with tempfile.TemporaryDirectory(dir=directory) as data_dir:
        address = f"unix:{data_dir}/a.sock"
        command = ("meter_agent.cli", "serve", f"--data-dir={data_dir}", f"--listen={address}")
        budget = f"--disk-budget-bytes={BUDGET_BYTES}"
        with _process([*command, budget], core):
            yield address


@contextmanager
def _empty(kind: str, directory: Path, core: int) -> Iterator[str]:
    """Runs an empty handler of the kind; yields its address."""
    address = f"unix:{directory / kind}.sock"
    with _process(["tests.bench.empty_server", kind, address], core):
        yield address


@contextmanager
def _process(arguments: list[str], core: int) -> Iterator[subprocess.Popen[str]]:
    """Runs a module on one core until the block ends; it is ready once it says something."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with process:
        os.sched_setaffinity(process.pid, {core})
        assert process.stdout is not None
        assert process.stdout.readline(), f"{arguments[0]} did not start"
        # Threads made before the call above kept the caller's core.
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})
        yield process
        process.terminate()


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


def _fsync_seconds(directory: Path) -> float:
    """Returns the median time of writing 4 KiB and syncing it."""
    times = []
    with (directory / "fsync").open("wb", buffering=0) as file:
        for _ in range(FSYNC_COUNT):
            file.write(b"x" * 4_096)
            start = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def _idle_megabytes(directory: Path, core: int) -> float:
    """Returns the resident memory of an agent that has answered nothing yet."""
    with tempfile.TemporaryDirectory(dir=directory) as data_dir:
        address = f"unix:{data_dir}/a.sock"
        command = ["meter_agent.cli", "serve", f"--data-dir={data_dir}", f"--listen={address}"]
        # With a server that is away, so that the uplink's part is in the figure as well.
        command.append("--server=127.0.0.1:9")
        with _process(command, core) as process:
            time.sleep(SETTLE_SECONDS)
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    print(sqlite3.sqlite_version, *run(seconds=3.0), sep="\n")
