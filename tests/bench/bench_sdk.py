"""What `Meter.record` costs its caller, and how fast the SDK delivers.

The agent is a process of its own that answers at once, so the figures are the SDK's alone. Each
call is timed by itself; the cost of reading the clock is in every figure, and the empty call shows
how much that is. "Flat out" records bursts with the sender busy in the same process.
"1,000 calls/s" sleeps between the calls, so that each finds cold caches: a bare append with an id,
paced alike, stands beside it. "While the agent is killed" records bursts of 200 every 20 ms towards
a real agent that is ended with SIGKILL and started again all the while.
"""

import gc
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from metering import Meter, MeterOptions
from tests.bench.programs import agent_on, bench_directory, start_agent, two_cores
from tests.bench.row import BenchRow

ROOT = Path(__file__).resolve().parent.parent.parent
QUANTITIES = {"input_tokens": 1200, "output_tokens": 350}
DIMENSIONS = {"model": "large", "region": "eu"}
BURST_EVENT_COUNT = 5_000
PACED_INTERVAL_SECONDS = 0.001
MICROSECOND_NS = 1_000
KILL_BURST_EVENT_COUNT = 200
KILL_BURST_INTERVAL_SECONDS = 0.02
AGENT_LIFE_SECONDS = 0.5
"""Of an agent, from the moment at which it listens."""


@contextmanager
def sink_agent() -> Iterator[str]:
    """Starts the sink in a process of its own; yields its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.sink_agent"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def run(*, seconds: float) -> list[BenchRow]:
    """Measures each figure for about `seconds` seconds."""
    empty = _times_of(lambda: None, count=100_000)
    bare = _times_of(_bare_append(), count=100_000)
    rows = [
        _row("empty function call", empty, 0.5),
        _row("bare deque.append with uuid4", bare, 0.5),
    ]
    with sink_agent() as address:
        flat_out = _flat_out_times(address, seconds=seconds)
        rows += _record_rows("record, flat out", flat_out, goal="≤ 3", goal_rare="≤ 1,000")
        bare_paced = _paced_times(_bare_append(), seconds=seconds)
        rows.append(_row("bare deque.append with uuid4, 1,000 calls/s", bare_paced, 0.5))
        with Meter(address) as meter:
            paced = _paced_times(_recorder(meter), seconds=seconds)
            rows += _record_rows("record, 1,000 calls/s", paced)
            with _busy_thread():
                beside = _paced_times(_recorder(meter), seconds=seconds)
            rows += _record_rows("record, 1,000 calls/s beside a busy thread", beside)
        rows.append(_delivery_row(address, seconds=seconds))
    return rows + _kill_rows(seconds=seconds * 2)


def _record_rows(
    name: str, times: list[int], *, goal: str = "", goal_rare: str = ""
) -> list[BenchRow]:
    return [
        _row(f"{name}: median", times, 0.5, goal=goal),
        _row(f"{name}: p99", times, 0.99),
        _row(f"{name}: p99.9", times, 0.999, goal=goal_rare),
    ]


def _row(name: str, times: list[int], share: float, *, goal: str = "") -> BenchRow:
    ordered = sorted(times)
    value = ordered[min(int(len(ordered) * share), len(ordered) - 1)] / MICROSECOND_NS
    note = f"{len(ordered):,} calls, slowest {ordered[-1] / MICROSECOND_NS:,.0f} µs"
    return BenchRow(name=name, value=value, unit="µs", goal=goal, note=note)


def _bare_append() -> Callable[[], None]:
    queue: deque[tuple[str, dict[str, int]]] = deque(maxlen=100_000)
    return lambda: queue.append((str(uuid.uuid4()), dict(QUANTITIES)))


def _times_of(call: Callable[[], object], *, count: int) -> list[int]:
    clock = time.perf_counter_ns
    times = []
    for _ in range(count):
        before = clock()
        call()
        times.append(clock() - before)
    return times


def _recorder(meter: Meter) -> Callable[[], str]:
    return lambda: meter.record(customer="acme", quantities=QUANTITIES, dimensions=DIMENSIONS)


def _paced_times(call: Callable[[], object], *, seconds: float) -> list[int]:
    clock = time.perf_counter_ns
    times = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        before = clock()
        call()
        times.append(clock() - before)
        time.sleep(PACED_INTERVAL_SECONDS)
    return times


@contextmanager
def _busy_thread() -> Iterator[None]:
    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            sum(range(1_000))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _flat_out_times(address: str, *, seconds: float) -> list[int]:
    times: list[int] = []
    with Meter(address) as meter:
        call = _recorder(meter)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            times += _times_of(call, count=BURST_EVENT_COUNT)
            meter.flush(timeout=30)
        gc.collect()
    return times


def _kill_rows(*, seconds: float) -> list[BenchRow]:
    """Records while the agent comes and goes; every event is answered for at the end."""
    with two_cores() as (core, _), bench_directory("sdk") as directory:
        address = f"unix:{directory}/a.sock"
        is_over = threading.Event()
        kills: list[int] = []
        killer = threading.Thread(target=_kill_and_start, args=(directory, core, is_over, kills))
        killer.start()
        times: list[int] = []
        with Meter(address) as meter:
            call = _recorder(meter)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                times += _times_of(call, count=KILL_BURST_EVENT_COUNT)
                time.sleep(KILL_BURST_INTERVAL_SECONDS)
            is_over.set()
            killer.join()
            with agent_on(core, directory / "data", address=address):
                assert meter.flush(timeout=60)
            stats = meter.stats()
    rows = _record_rows(
        "record, while the agent is killed and restarted", times, goal="≤ 3", goal_rare="≤ 1,000"
    )
    note = f"{len(kills)} kills; {stats.accepted:,} accepted, {stats.dropped} dropped"
    return [*rows, BenchRow("… requests that were sent again", stats.retries, "", "", note)]


def _kill_and_start(directory: Path, core: int, is_over: threading.Event, kills: list[int]) -> None:
    while not is_over.is_set():
        running = start_agent(core, directory / "data", address=f"unix:{directory}/a.sock")
        is_over.wait(AGENT_LIFE_SECONDS)
        running.end(signal.SIGKILL)
        kills.append(running.pid)


def _delivery_row(address: str, *, seconds: float) -> BenchRow:
    options = MeterOptions(buffer_event_count_max=1_000_000)
    with Meter(address, options=options) as meter:
        call = _recorder(meter)
        started = time.monotonic()
        event_count = 0
        while time.monotonic() - started < seconds:
            for _ in range(BURST_EVENT_COUNT):
                call()
            event_count += BURST_EVENT_COUNT
            while meter.stats().buffered > BURST_EVENT_COUNT:
                time.sleep(0.001)
        meter.flush(timeout=60)
        elapsed = time.monotonic() - started
        dropped = meter.stats().dropped
    return BenchRow(
        name="recorded, serialized and answered for, one process",
        value=event_count / elapsed,
        unit="events/s",
        note=f"{event_count:,} events, {dropped} dropped",
    )
