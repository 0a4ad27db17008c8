"""A billing server as a process of its own, on SQLite, with 1,000 customers of two meters."""

import hashlib
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

from billing_server.domain.ports.customers import BillingPeriodState, SubscriptionPeriod
from billing_server.services.customer_terms import load_customer_terms
from billing_server.store.unit_of_work import SqlStore, open_store
from metering.api.v1 import ingest_pb2, ingest_pb2_grpc
from metering.clock import format_instant
from metering.rpc import bearer_metadata
from tests.bench.backlog import BLOCK_EVENT_COUNT, usage_blocks
from tests.bench.programs import start_module
from tests.bench.server_world import (
    CUSTOMER_COUNT,
    NOW,
    PERIOD_START,
    PUSH_EVENTS,
    customer_name,
    write_catalog,
)
from tools.programs import free_port

CALL_SECONDS = 60.0
WARM_UP_PUSHES = 4
PREPARED_PUSHES = 100
"""Made beforehand: half a million events, some 72 MB."""
MESSAGE_BYTES_MAX = 16 * 1024 * 1024


class ServerClock(Enum):
    """What time it is at the server."""

    WORLD = "world"
    """It stands at `server_world.NOW`."""
    REAL = "real"
    """That of the host."""


class RealServer:
    """The program, with the catalog of `server_world` and a clock that stands in its period.

    Args:
        data_dir: Made here.
        core: On which it runs.
        clock: Whether it stands at the time of `server_world` or is the real one.
    """

    def __init__(
        self, data_dir: Path, *, core: int, clock: ServerClock = ServerClock.WORLD
    ) -> None:
        data_dir.mkdir()
        self._clock = clock
        start = PERIOD_START
        if clock is ServerClock.REAL:
            start = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        self._database_url = f"sqlite:///{data_dir / 'billing.db'}"
        self._tokens: dict[str, str] = {}
        store = open_store(self._database_url)
        write_catalog(store, start=start)
        _open_periods(store)
        with store.write() as unit:
            for name in ("limit", "agent"):
                token = self._tokens[name] = f"mat_{secrets.token_hex(16)}"
                digest = hashlib.sha256(token.encode()).hexdigest()
                unit.agents.enroll(
                    agent_id=f"agt_{name}", name=name, token_sha256=digest, create_time=start
                )
        store.close()
        self.address = f"127.0.0.1:{free_port()}"
        self.http_address = f"127.0.0.1:{free_port()}"
        self.data_dir = data_dir
        self._core = core

    def __enter__(self) -> Self:
        arguments = [
            "billing_server",
            "serve",
            f"--data-dir={self.data_dir}",
            f"--grpc-listen={self.address}",
            f"--http-listen={self.http_address}",
        ]
        if self._clock is ServerClock.WORLD:
            arguments.append(f"--test-clock={format_instant(NOW)}")
        self._running = start_module(self._core, arguments)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.end()

    def enroll(self, name: str) -> str:
        """Returns the token of an agent: "limit" or "agent"."""
        return self._tokens[name]


def _open_periods(store: SqlStore) -> None:
    """Opens the first billing period of every subscription, as creating one by the API does."""
    with store.write() as unit:
        for number in range(CUSTOMER_COUNT):
            timeline = load_customer_terms(unit, customer_id=customer_name(number)).timelines[
                f"sub-{customer_name(number)}"
            ]
            unit.billing_periods.add(
                SubscriptionPeriod(
                    subscription_id=timeline.subscription.id,
                    customer_id=customer_name(number),
                    period=timeline.first_period(),
                    state=BillingPeriodState.RUNNING,
                    has_late_usage=False,
                )
            )


def pushed_per_second(address: str, *, token: str, seconds: float) -> float:
    """Returns the events/s that a server applies when a client waits with the next push."""
    metadata = bearer_metadata(token)
    options = (("grpc.max_send_message_length", MESSAGE_BYTES_MAX),)
    with grpc.insecure_channel(address, options=options) as channel:
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        session = stub.OpenSession(
            ingest_pb2.OpenSessionRequest(
                disk_id=b"l" * 16, nonce=b"n" * 16, sync_no=1, next_seq=1, earliest_kept_seq=1
            ),
            metadata=metadata,
            timeout=CALL_SECONDS,
        )
        call = channel.unary_unary(
            "/metering.api.v1.IngestService/PushUsage",
            response_deserializer=ingest_pb2.PushUsageResponse.FromString,
        )
        pushes = list(_pushes(session, count=PREPARED_PUSHES))
        began, count = time.perf_counter(), 0
        for number, push in enumerate(pushes):
            if number == WARM_UP_PUSHES:
                began = time.perf_counter()
            answer = call(push, metadata=metadata, timeout=CALL_SECONDS)
            assert answer.counted == PUSH_EVENTS, answer
            count += PUSH_EVENTS if number >= WARM_UP_PUSHES else 0
            if number >= WARM_UP_PUSHES and time.perf_counter() - began >= seconds:
                break
        return count / (time.perf_counter() - began)


def _pushes(session: ingest_pb2.OpenSessionResponse, *, count: int) -> Iterator[bytes]:
    blocks = usage_blocks()
    first_seq = 1
    for _ in range(count):
        request = ingest_pb2.PushUsageRequest(
            server_incarnation=session.server_incarnation,
            session_no=session.session_no,
            first_seq=first_seq,
            disk_id=b"l" * 16,
            next_seq=first_seq + PUSH_EVENTS,
        )
        for _ in range(PUSH_EVENTS // BLOCK_EVENT_COUNT):
            block = request.blocks.add(
                first_seq=first_seq, event_count=BLOCK_EVENT_COUNT, events=next(blocks)
            )
            block.receive_time.FromDatetime(NOW)
            first_seq += BLOCK_EVENT_COUNT
        yield request.SerializeToString()
