"""What tests of the agent share: events, a store, a whole agent in this process."""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import grpc

from meter_agent.bootstrap import Agent
from meter_agent.config import AgentSettings
from meter_agent.core.disk_budget import DiskBudget
from meter_agent.store.admission import AdmissionControl
from meter_agent.store.ballast import Ballast
from meter_agent.store.database import open_writer
from meter_agent.store.outbox import Outbox
from meter_agent.store.writer import Writer
from metering.api.v1 import agent_pb2, agent_pb2_grpc
from metering.api.v1.ingest_pb2 import UsageEvents
from metering.api.v1.usage_pb2 import UsageEvent
from metering.clock import Clock

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
NOW_US = 1_773_144_000_000_000
"""`NOW` in microseconds since 1970: 20,522 days and 12 hours."""
WAIT_SECONDS = 30.0


def event(
    event_id: str = "event-1",
    *,
    customer_id: str = "acme",
    quantities: Mapping[str, str] | None = None,
    dimensions: Mapping[str, str] | None = None,
    seconds: int | None = None,
    nanos: int = 0,
) -> UsageEvent:
    made = UsageEvent(
        event_id=event_id,
        customer_id=customer_id,
        quantities={"input_tokens": "1200"} if quantities is None else quantities,
        dimensions={"model": "large"} if dimensions is None else dimensions,
    )
    if seconds is not None:
        made.event_time.seconds = seconds
        made.event_time.nanos = nanos
    return made


def events(*event_ids: str) -> list[UsageEvent]:
    return [event(event_id) for event_id in event_ids]


def numbered(start: int, stop: int) -> list[UsageEvent]:
    """Returns events with ids event-START to event-(STOP-1)."""
    return [event(f"event-{number}") for number in range(start, stop)]


def packed(items: Iterable[UsageEvent]) -> bytes:
    return UsageEvents(events=items).SerializeToString()


def ids_of(raw: bytes) -> list[str]:
    return [item.event_id for item in UsageEvents.FromString(raw).events]


def wait_until(is_met: Callable[[], bool], *, seconds: float = WAIT_SECONDS) -> None:
    """Polls until the condition holds; fails the test where it does not in time."""
    end = time.monotonic() + seconds
    while not is_met():
        assert time.monotonic() < end, "the condition was not met in time"
        time.sleep(0.005)


class Store:
    """A writer on a database of its own."""

    def __init__(self, directory: Path, *, budget_bytes: int = 1 << 30) -> None:
        self.path = directory / "agent.db"
        self.appended_count = 0
        self.outbox = Outbox(self.path, connection=open_writer(self.path))
        admission = AdmissionControl(
            budget=DiskBudget(budget_bytes), ballast=Ballast(directory, size_bytes=0)
        )
        self.writer = Writer(self.outbox, admission=admission, on_append=self._appended)
        self.writer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.stop()

    def _appended(self) -> None:
        self.appended_count += 1

    def record(self, items: list[UsageEvent], *, receive_time_us: int = NOW_US) -> None:
        self.writer.append(
            packed(items),
            event_count=len(items),
            receive_time_us=receive_time_us,
            oldest_event_time_us=receive_time_us,
        ).wait(WAIT_SECONDS)


class RunningAgent:
    """A whole agent in this process, on a socket in `directory`."""

    def __init__(
        self,
        directory: Path,
        *,
        server: str = "",
        token: str | None = None,
        token_file: Path | None = None,
        join_token_file: Path | None = None,
        disk_budget_bytes: int = 1 << 30,
        retry_seconds_max: float = 0.5,
        admin_listen: str = "",
        ballast_bytes: int = 0,
        clock: Clock | None = None,
    ) -> None:
        self.address = f"unix:{directory / 'agent.sock'}"
        self.agent = Agent(
            AgentSettings(
                listen=(self.address,),
                data_dir=directory / "data",
                server=server,
                token=token,
                token_file=token_file,
                join_token_file=join_token_file,
                host_name="host-1",
                disk_budget_bytes=disk_budget_bytes,
                retry_seconds_max=retry_seconds_max,
                admin_listen=admin_listen,
                ballast_bytes=ballast_bytes,
            ),
            clock=clock,
        )

    def __enter__(self) -> Self:
        self.agent.start()
        self.channel = grpc.insecure_channel(
            self.address, options=(("grpc.use_local_subchannel_pool", 1),)
        )
        self.stub = agent_pb2_grpc.AgentServiceStub(self.channel)
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()
        self.agent.stop()

    def record(
        self, items: list[UsageEvent], *, client: str = "", **fields: int
    ) -> agent_pb2.RecordUsageResponse:
        request = agent_pb2.RecordUsageRequest(events=items, **fields)
        metadata = (("x-meter-client", client),) if client else ()
        return self.stub.RecordUsage(request, timeout=WAIT_SECONDS, metadata=metadata)

    def record_bytes(self, raw: bytes) -> agent_pb2.RecordUsageResponse:
        call = self.channel.unary_unary("/metering.api.v1.AgentService/RecordUsage")
        return agent_pb2.RecordUsageResponse.FromString(call(raw, timeout=WAIT_SECONDS))

    def status(self) -> agent_pb2.GetAgentStatusResponse:
        return self.stub.GetAgentStatus(agent_pb2.GetAgentStatusRequest(), timeout=WAIT_SECONDS)

    def wait_until_drained(self) -> None:
        wait_until(lambda: self.status().buffered_event_count == 0)
