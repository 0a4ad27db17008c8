"""Usage of a scenario: sent through ingest as an agent would, many events at a time."""

from collections.abc import Iterator
from datetime import datetime
from itertools import count

from billing_server.domain.ports.agents import Agent
from billing_server.domain.usage.instants import microseconds_from_instant
from billing_server.services.context import ServiceContext
from billing_server.services.enroll_agent import enroll_agent
from billing_server.services.ingest_tally import Tally
from billing_server.services.ingest_usage import UsageIngester
from billing_server.services.open_session import SessionRequest, open_session
from billing_server.services.scenario import UsageStep
from billing_server.services.usage_payload import PUSH_EVENTS_MAX, PushedBlock, UsagePush
from metering.api.v1 import ingest_pb2, usage_pb2

AGENT_NAME = "scenario"
ID_BYTES = 16


class ScenarioAgent:
    """Takes usage and pushes it in batches; what waits is pushed by `flush`."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._ingester = UsageIngester(store=context.store, clock=context.clock)
        self._agent: Agent = enroll_agent(context, name=AGENT_NAME).agent
        session = open_session(
            context.store,
            clock=context.clock,
            agent=self._agent,
            request=SessionRequest(
                disk_id=context.random_bytes(ID_BYTES),
                nonce=context.random_bytes(ID_BYTES),
                sync_no=1,
                earliest_kept_seq=1,
            ),
        )
        self._session_no = session.session_no
        self._incarnation = session.server_incarnation
        self._next_seq = 1
        self._blocks: list[PushedBlock] = []

    def record(self, step: UsageStep, *, at: datetime, repeat: int) -> None:
        """Take one event that the server hears of at an instant."""
        event = event_of(step, at=at, repeat=repeat)
        self._blocks.append(
            PushedBlock(
                first_seq=self._next_seq + len(self._blocks),
                event_count=1,
                receive_time_us=microseconds_from_instant(at),
                events=ingest_pb2.UsageEvents(events=[event]).SerializeToString(),
            )
        )
        if len(self._blocks) >= PUSH_EVENTS_MAX:
            self.flush()

    def flush(self) -> Tally:
        """Push what waits; returns what became of it."""
        if not self._blocks:
            return Tally()
        push = UsagePush(
            server_incarnation=self._incarnation,
            session_no=self._session_no,
            first_seq=self._next_seq,
            blocks=tuple(self._blocks),
        )
        outcome = self._ingester.push(self._agent, push=push)
        self._next_seq += len(self._blocks)
        self._blocks.clear()
        return outcome.tally


def event_of(step: UsageStep, *, at: datetime, repeat: int) -> usage_pb2.UsageEvent:
    """Return the event of a usage entry.

    Args:
        step: the entry.
        at: when the server hears of it.
        repeat: 0 for the first, then 1, 2, …; an event time of the entry moves with the repeats.
    """
    event = usage_pb2.UsageEvent(
        event_id=step.event_id if repeat == 0 else f"{step.event_id}-{repeat}",
        customer_id=step.customer_id,
        quantities=step.quantities,
        dimensions=step.dimensions,
    )
    if step.event_time is not None:
        shift = step.every * repeat if step.every is not None else None
        event.event_time.FromDatetime(step.event_time + shift if shift else step.event_time)
    return event


def instants_of(step: UsageStep, *, at: datetime) -> Iterator[tuple[datetime, int]]:
    """Walk the instants at which the server hears of a usage entry, with their number from 0."""
    if step.every is None or step.until is None:
        yield at, 0
        return
    for repeat in count():
        instant = at + step.every * repeat
        if repeat and instant >= step.until:
            return
        yield instant, repeat
