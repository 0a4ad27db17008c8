"""A server database with some millions of events, and traffic for it, for benchmarks."""

import json
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from uuid import UUID

from billing_server.domain.catalog.model import Meter, Plan, UsagePrice
from billing_server.domain.ports.agents import Agent
from billing_server.domain.ports.customers import StartInvoice
from billing_server.domain.rating.graduated import Graduated
from billing_server.domain.rating.tier import Tier
from billing_server.domain.subscription.model import Customer, Subscription
from billing_server.services.open_session import SessionRequest, open_session
from billing_server.services.rebuild_running_charges import rebuild_running_charges
from billing_server.services.usage_payload import PushedBlock, UsagePush
from billing_server.store.unit_of_work import SqlStore, open_store
from metering.api.v1 import ingest_pb2, usage_pb2
from metering.clock import ManualClock

BENCH_DIR = Path(__file__).resolve().parents[2] / ".bench"
CUSTOMER_COUNT = 1_000
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
PERIOD_START = datetime(2026, 3, 1, tzinfo=UTC)
PRELOAD_SPAN = timedelta(days=3)
"""The events that are there already came in evenly over this time."""
EVENTS_PER_SECOND = 10_000
"""At which pace the event times of the measured traffic advance."""
PUSH_EVENTS = 5_000
QUANTITIES = ("input_tokens", "output_tokens")
DIMENSIONS = {"model": "large", "region": "eu"}
DATABASE_VERSION = 4
"""Raised when the preloaded database has to be built anew."""


class Preload(Enum):
    """What the events that are there already carry."""

    ONE_PAIR = ("4321", "987")
    """The same two quantities each."""
    VARIED = ("1 + seq * 7919 % 7993", "1 + seq * 104729 % 1999")
    """Some 8,000 and 2,000 different ones, which come in no order."""

    def values(self, seq: int) -> tuple[int, int]:
        """Returns the quantities of an event, as the expressions say."""
        if self is Preload.ONE_PAIR:
            return 4321, 987
        return 1 + seq * 7919 % 7993, 1 + seq * 104729 % 1999


MakeId = Callable[[int, random.Random], str]


def time_ordered_id(moment_ms: int, source: random.Random) -> str:
    """Returns a UUIDv7, as the SDK mints them."""
    bits = (moment_ms << 80) | (7 << 76) | (source.getrandbits(12) << 64)
    return str(UUID(int=bits | (0b10 << 62) | source.getrandbits(62)))


def random_id(_moment_ms: int, source: random.Random) -> str:
    """Returns a UUIDv4."""
    return str(UUID(int=source.getrandbits(128), version=4))


def customer_name(number: int) -> str:
    """Returns the id of a customer."""
    return f"customer-{number:04}"


def preloaded_database(preload_events: int, *, preload: Preload = Preload.ONE_PAIR) -> Path:
    """Returns a fresh copy of a database with so many events; built once, then kept."""
    BENCH_DIR.mkdir(exist_ok=True)
    kind = "" if preload is Preload.ONE_PAIR else f"-{preload.name.lower()}"
    kept = BENCH_DIR / f"server-{DATABASE_VERSION}-{preload_events}{kind}.db"
    if not kept.exists():
        building = kept.with_suffix(".building")
        building.unlink(missing_ok=True)
        _build(building, preload_events=preload_events, preload=preload)
        building.rename(kept)
    copy = BENCH_DIR / "run.db"
    for path in (copy, Path(f"{copy}-wal"), Path(f"{copy}-shm")):
        path.unlink(missing_ok=True)
    shutil.copyfile(kept, copy)
    os.sync()  # Else the copy's own write-back would share the disk with the measurement.
    return copy


def fsync_milliseconds(directory: Path, *, count: int = 200) -> float:
    """Returns the median time of appending a page to a file and making it durable."""
    times = []
    path = directory / "fsync"
    with path.open("wb") as file:
        for _ in range(count):
            file.write(b"x" * 4096)
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - started)
    path.unlink()
    return sorted(times)[count // 2] * 1000


class Traffic:
    """Endless pushes of one agent, made outside the measured time."""

    def __init__(self, store: SqlStore, *, make_id: MakeId, seed: int) -> None:
        self._random = random.Random(seed)
        self._make_id = make_id
        self._next_seq = 1
        with store.write() as unit:
            name = f"bench-{seed}"
            self.agent: Agent = unit.agents.enroll(
                agent_id=name, name=name, token_sha256=name, create_time=NOW
            )
        self._session = open_session(
            store,
            clock=ManualClock(NOW),
            agent=self.agent,
            request=SessionRequest(
                disk_id=b"d" * 16, nonce=b"n" * 16, sync_no=1, earliest_kept_seq=1
            ),
        )

    def push(self) -> UsagePush:
        """Returns the next 5,000 events."""
        first = self._next_seq
        start = NOW + timedelta(seconds=first / EVENTS_PER_SECOND)
        events = [self._event(first + offset) for offset in range(PUSH_EVENTS)]
        self._next_seq += PUSH_EVENTS
        block = PushedBlock(
            first_seq=first,
            event_count=PUSH_EVENTS,
            receive_time_us=int(start.timestamp() * 1_000_000),
            events=ingest_pb2.UsageEvents(events=events).SerializeToString(),
        )
        return UsagePush(
            server_incarnation=self._session.server_incarnation,
            session_no=self._session.session_no,
            first_seq=first,
            blocks=(block,),
        )

    def _event(self, seq: int) -> usage_pb2.UsageEvent:
        source = self._random
        moment_ms = int(NOW.timestamp() * 1000) + seq * 1000 // EVENTS_PER_SECOND
        return make_event(
            self._make_id(moment_ms, source),
            customer=customer_name(source.randrange(CUSTOMER_COUNT)),
            moment_ms=moment_ms,
            values=(source.randrange(1, 8_000), source.randrange(1, 2_000)),
        )


def make_event(
    event_id: str, *, customer: str, moment_ms: int, values: tuple[int, int]
) -> usage_pb2.UsageEvent:
    """Returns an event with two quantities and two dimensions."""
    message = usage_pb2.UsageEvent(
        event_id=event_id,
        customer_id=customer,
        quantities={name: str(value) for name, value in zip(QUANTITIES, values, strict=True)},
        dimensions=DIMENSIONS,
    )
    message.event_time.seconds, rest = divmod(moment_ms, 1000)
    message.event_time.nanos = rest * 1_000_000
    return message


def _build(path: Path, *, preload_events: int, preload: Preload) -> None:
    first, second = preload.value
    store = open_store(f"sqlite:///{path}")
    write_catalog(store)
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA cache_size=-400000")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.executemany(
            "INSERT INTO usage_event VALUES (?, ?, ?, ?, 0, ?, ?, NULL, NULL)",
            _event_rows(preload_events, preload=preload),
        )
        connection.executemany(
            "INSERT INTO usage_series (customer_id, meter_key, dimensions) VALUES (?, ?, ?)",
            [
                (customer_name(number), meter, json.dumps(DIMENSIONS, separators=(",", ":")))
                for number in range(CUSTOMER_COUNT)
                for meter in QUANTITIES
            ],
        )
        connection.execute(
            "INSERT INTO usage_bucket (minute, customer_id, series_id, value, event_count) "
            "SELECT event_time / 60000000, customer_id, series_id, "
            f"sum(CASE meter_key WHEN '{QUANTITIES[0]}' THEN {first} ELSE {second} END), count(*) "
            "FROM usage_event JOIN usage_series USING (customer_id) GROUP BY 1, 2, 3"
        )
        connection.commit()
        connection.execute("PRAGMA journal_mode=WAL")
    store = open_store(f"sqlite:///{path}")
    with store.write() as unit:
        for number in range(CUSTOMER_COUNT):
            rebuild_running_charges(unit, customer_id=customer_name(number))
    store.close()


def _event_rows(count: int, *, preload: Preload) -> Iterator[tuple[str, str, int, int, int, bytes]]:
    source = random.Random(1)
    start_ms = int((NOW - PRELOAD_SPAN).timestamp() * 1000)
    span_ms = int(PRELOAD_SPAN.total_seconds() * 1000)
    for seq in range(1, count + 1):
        moment_ms = start_ms + seq * span_ms // (count + 1)
        event_id = time_ordered_id(moment_ms, source)
        customer = customer_name(source.randrange(CUSTOMER_COUNT))
        event = make_event(
            event_id, customer=customer, moment_ms=moment_ms, values=preload.values(seq)
        )
        moment_us = moment_ms * 1000
        yield event_id, customer, moment_us, moment_us, seq, event.SerializeToString()


def write_catalog(store: SqlStore, *, start: datetime = PERIOD_START) -> None:
    """Writes two meters, a plan with two graduated prices, and 1,000 customers on it."""
    tiers = (
        Tier(up_to=Decimal(1_000_000), unit_price=Decimal("0.000003")),
        Tier(up_to=Decimal(10_000_000), unit_price=Decimal("0.0000025")),
        Tier(up_to=None, unit_price=Decimal("0.000002")),
    )
    prices = tuple(
        UsagePrice(key=name, meter=name, included=Decimal(100_000), model=Graduated(tiers))
        for name in QUANTITIES
    )
    plan = Plan(key="pro", version=1, currency="USD", effective_from=start, prices=prices)
    with store.write() as unit:
        for name in QUANTITIES:
            meter = Meter(key=name, unit="token", quantity=name)
            unit.catalog.put_meter(meter, update_time=start)
        unit.catalog.add_plan_version(plan, create_time=start)
        for number in range(CUSTOMER_COUNT):
            name = customer_name(number)
            unit.customers.add(Customer(id=name, currency="USD"), create_time=start)
            unit.subscriptions.add(
                Subscription(
                    id=f"sub-{name}",
                    customer_id=name,
                    plan_key="pro",
                    plan_version=1,
                    start=start,
                ),
                create_time=start,
                start_invoice=StartInvoice.NOT_DUE,
            )
