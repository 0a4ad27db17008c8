"""Events applied and rated by a server on SQLite, on one core.

1,000 customers on a plan with two graduated prices, each event feeding two meters, in a database
that holds 5 million events already. A push of 5,000 events goes through decoding, the unique key,
buckets, running charges and rating, in transactions that are durable (`synchronous=FULL`). Pushes
are made outside the measured time.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from billing_server.services.ingest_usage import PART_EVENTS_MAX, PushState, UsageIngester
from billing_server.services.usage_payload import UsagePush, decode_push
from billing_server.store.unit_of_work import SqlStore, open_store
from metering.clock import ManualClock
from tests.bench.row import BenchRow
from tests.bench.server_world import (
    BENCH_DIR,
    NOW,
    PUSH_EVENTS,
    MakeId,
    Traffic,
    fsync_milliseconds,
    preloaded_database,
    random_id,
    time_ordered_id,
)

PRELOAD_EVENTS = 5_000_000
WARM_UP_PUSHES = 2
"""Compiles the terms of every customer, which a running server has done long ago."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast events went by."""

    events_per_second: float
    """By the clock on the wall, which a busy machine slows."""
    processor_us: float
    """Processor time of one event in microseconds, which tells more on a shared machine."""


def run(*, seconds: float, preload_events: int = PRELOAD_EVENTS) -> list[BenchRow]:
    """Measures each figure for about `seconds` seconds of the server's own time."""
    path = preloaded_database(preload_events)
    fsync = fsync_milliseconds(BENCH_DIR)
    store = open_store(f"sqlite:///{path}")
    try:
        ordered = _ingest_rate(store, make_id=time_ordered_id, seed=1, seconds=seconds)
        shuffled = _ingest_rate(store, make_id=random_id, seed=2, seconds=seconds)
        bare = _bare_rate(store, make_id=time_ordered_id, seed=3, seconds=seconds)
    finally:
        store.close()
        _remove(path)
    rows_there = f"{preload_events:,} rows there"
    return [
        BenchRow(
            f"events/s applied and rated, UUIDv7, {rows_there}",
            ordered.events_per_second,
            "events/s",
            "≥ 10,000",
            f"{ordered.events_per_second / bare.events_per_second:.0%} of the bare insert, "
            f"{ordered.processor_us:.0f} µs of processor time each",
        ),
        BenchRow(
            f"the same with random ids, {rows_there}",
            shuffled.events_per_second,
            "events/s",
            "",
            f"{shuffled.events_per_second / ordered.events_per_second:.0%} of time-ordered ids, "
            f"{shuffled.processor_us:.0f} µs of processor time each",
        ),
        BenchRow(
            f"bare executemany of the same event rows, {PART_EVENTS_MAX} a commit",
            bare.events_per_second,
            "events/s",
            "",
            f"nothing counted or rated, {bare.processor_us:.0f} µs of processor time each",
        ),
        BenchRow("fsync of the disk, median", fsync, "ms", "", "4 KiB appended"),
    ]


def _ingest_rate(store: SqlStore, *, make_id: MakeId, seed: int, seconds: float) -> Speed:
    traffic = Traffic(store, make_id=make_id, seed=seed)
    ingester = UsageIngester(store=store, clock=ManualClock(NOW))

    def apply(push: UsagePush) -> None:
        outcome = ingester.push(traffic.agent, push=push)
        assert outcome.state is PushState.APPLIED
        assert outcome.tally.counted == PUSH_EVENTS

    return _rate(traffic, apply=apply, seconds=seconds)


def _bare_rate(store: SqlStore, *, make_id: MakeId, seed: int, seconds: float) -> Speed:
    traffic = Traffic(store, make_id=make_id, seed=seed)

    def apply(push: UsagePush) -> None:
        for first in range(0, PUSH_EVENTS, PART_EVENTS_MAX):
            with store.write() as unit:
                unit.usage.insert_events(prepared[id(push)][first : first + PART_EVENTS_MAX])

    prepared: dict[int, list] = {}

    def prepare(push: UsagePush) -> None:
        rows = [event.row for event in decode_push(push, agent_ref=traffic.agent.ref)]
        prepared.clear()
        prepared[id(push)] = rows

    return _rate(traffic, apply=apply, seconds=seconds, prepare=prepare)


def _rate(
    traffic: Traffic,
    *,
    apply: Callable[[UsagePush], None],
    seconds: float,
    prepare: Callable[[UsagePush], None] = lambda _: None,
) -> Speed:
    """Returns the median over pushes for `seconds` of measured time."""
    wall: list[float] = []
    processor: list[float] = []
    measured = 0.0
    pushes = 0
    while measured < seconds or len(wall) < 3:
        push = traffic.push()
        prepare(push)
        started, processor_started = time.perf_counter(), time.process_time()
        apply(push)
        elapsed = time.perf_counter() - started
        processor_elapsed = time.process_time() - processor_started
        pushes += 1
        if pushes > WARM_UP_PUSHES:
            measured += elapsed
            wall.append(elapsed)
            processor.append(processor_elapsed)
    return Speed(
        events_per_second=PUSH_EVENTS / statistics.median(wall),
        processor_us=statistics.median(processor) / PUSH_EVENTS * 1e6,
    )


def _remove(path: Path) -> None:
    for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        each.unlink(missing_ok=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--events", type=int, default=PRELOAD_EVENTS)
    arguments = parser.parse_args()
    for row in run(seconds=arguments.seconds, preload_events=arguments.events):
        print(f"{row.name}: {row.value:,.1f} {row.unit} {row.goal} ({row.note})")
