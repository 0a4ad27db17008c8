"""How long `RecordUsage` of 10 events takes while the agent is a fifth busy.

What the agent can do is measured first, with 16 requests in flight. Then requests are sent at a
fifth of that pace, each at its own moment whether or not those before were answered, so that a
stall is in the figures of all that came meanwhile. A time ends when the answer is there.
"""

import itertools
import threading
import time

import grpc

from tests.bench.programs import agent_on, bench_directory, fsync_milliseconds, quantile, two_cores
from tests.bench.row import BenchRow
from tests.bench.usage_load import call_for, record_usage_call, usage_requests

EVENT_COUNT = 10
IN_FLIGHT = 16
LOAD_SHARE = 0.2
MILLISECONDS = 1_000
ANSWER_SECONDS_MAX = 60.0


def run(*, seconds: float) -> list[BenchRow]:
    """Measures for three times `seconds` seconds: a p99 needs many calls."""
    bodies = usage_requests(EVENT_COUNT, count=200)
    with (
        two_cores() as (core, _),
        bench_directory("latency") as directory,
        agent_on(core, directory / "data", address=f"unix:{directory}/a.sock"),
        record_usage_call(f"unix:{directory}/a.sock") as call,
    ):
        most = call_for(call, bodies, in_flight=IN_FLIGHT, seconds=seconds).calls_per_second
        pace = most * LOAD_SHARE
        before = fsync_milliseconds(directory)
        times = _paced_times(call, bodies, pace=pace, seconds=seconds * 3)
        fsync = (before + fsync_milliseconds(directory)) / 2
    note = f"{len(times):,} calls at {pace:,.0f}/s of {most:,.0f}/s; fsync of 4 KiB {fsync:.2f} ms"
    name = f"RecordUsage of {EVENT_COUNT} events at {LOAD_SHARE:.0%} load"
    return [
        BenchRow(f"{name}: p50", quantile(times, 0.5) * MILLISECONDS, "ms", "≤ 2", note),
        BenchRow(f"{name}: p99", quantile(times, 0.99) * MILLISECONDS, "ms", "≤ 15"),
    ]


def _paced_times(
    call: grpc.UnaryUnaryMultiCallable, bodies: list[bytes], *, pace: float, seconds: float
) -> list[float]:
    """Returns how long each answer took from the moment at which its call was due."""
    count = int(pace * seconds)
    times: list[float] = []
    failures: list[BaseException] = []
    are_answered = threading.Event()

    def send(body: bytes, due: float) -> None:
        def done(future: grpc.Future) -> None:
            times.append(time.perf_counter() - due)
            if (error := future.exception()) is not None:
                failures.append(error)
            if len(times) == count:
                are_answered.set()

        call.future(body).add_done_callback(done)

    began = time.perf_counter()
    for number, body in enumerate(itertools.islice(itertools.cycle(bodies), count)):
        due = began + number / pace
        left = due - time.perf_counter()
        if left > 0:
            time.sleep(left)
        send(body, due)
    assert are_answered.wait(ANSWER_SECONDS_MAX)
    assert not failures, failures[0]
    return times
