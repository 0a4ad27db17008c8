"""Which disk pushes, and what it is taken to hold still."""

from datetime import datetime, timedelta

import pytest

from billing_server.domain.ports.agents import Agent
from billing_server.services import ingest_usage as ingest
from billing_server.services.open_session import OpenedSession, SessionRequest, open_session
from billing_server.services.usage_payload import UsagePush
from billing_server.store.unit_of_work import SqlStore
from metering.api.v1 import usage_pb2
from tests.billing_server.ingest_world import NOON, IngestWorld, block, event

LATER = NOON + timedelta(hours=1)


class Disk:
    """One disk of an agent, with an open session."""

    def __init__(self, world: IngestWorld, enrolled: Agent, disk_id: bytes, **fields: object):
        self.world, self.enrolled, self.disk_id = world, enrolled, disk_id * 16
        self.opened = self.open(1, **fields)

    def open(self, sync_no: int, **fields: object) -> OpenedSession:
        request = SessionRequest(
            disk_id=self.disk_id,
            nonce=sync_no.to_bytes(16),
            sync_no=sync_no,
            **{"earliest_kept_seq": 1, **fields},  # type: ignore[arg-type]
        )
        return open_session(
            self.world.store, clock=self.world.clock, agent=self.enrolled, request=request
        )

    def push(
        self,
        *events: usage_pb2.UsageEvent,
        first_seq: int = 1,
        oldest: datetime | None = None,
        next_seq: int = 0,
    ) -> ingest.PushOutcome:
        push = UsagePush(
            server_incarnation=self.opened.server_incarnation,
            session_no=self.opened.session_no,
            first_seq=first_seq,
            blocks=(block(events, first_seq=first_seq),) if events else (),
            oldest_unshipped_event_time=oldest,
            disk_id=self.disk_id,
            next_seq=next_seq,
        )
        return self.world.ingester.push(self.enrolled, push=push)

    @property
    def known(self) -> Agent:
        with self.world.store.read() as unit:
            found = unit.agents.get(self.opened.agent_id)
        assert found is not None
        return found


@pytest.fixture
def world(store: SqlStore) -> IngestWorld:
    return IngestWorld(store)


@pytest.fixture
def enrolled(world: IngestWorld) -> Agent:
    with world.store.write() as unit:
        return unit.agents.enroll(
            agent_id="agt_1", name="host-1", token_sha256="t", create_time=NOON
        )


def test_two_copies_ship_side_by_side_and_neither_fences_the_other(
    world: IngestWorld, enrolled: Agent
) -> None:
    first = Disk(world, enrolled, b"d")
    second = Disk(world, enrolled, b"e", previous_disk_id=b"d" * 16)
    assert first.opened.agent_id != second.opened.agent_id
    for number, disk in enumerate((first, second, first, second), start=1):
        own = 1 + (number - 1) // 2
        outcome = disk.push(event(f"e-{number}"), first_seq=own)
        assert (outcome.state, outcome.applied_seq) == (ingest.PushState.APPLIED, own)
    assert world.totals()["input_tokens", ""] == 400


def test_a_push_that_names_no_disk_is_that_of_the_enrolled_agent(
    world: IngestWorld, enrolled: Agent
) -> None:
    disk = Disk(world, enrolled, b"d")
    disk.disk_id = b""
    assert disk.push(event("e-1")).state is ingest.PushState.APPLIED


def test_an_unknown_disk_is_fenced(world: IngestWorld, enrolled: Agent) -> None:
    disk = Disk(world, enrolled, b"d")
    disk.disk_id = b"x" * 16
    assert disk.push(event("e-1")).state is ingest.PushState.FENCED


def test_a_sign_of_life_says_what_is_held_now(world: IngestWorld, enrolled: Agent) -> None:
    disk = Disk(world, enrolled, b"d", oldest_unshipped_event_time=NOON)
    world.clock.advance_to(LATER)
    assert disk.push(next_seq=4).state is ingest.PushState.APPLIED
    known = disk.known
    assert (known.oldest_unshipped_event_time, known.last_seen) == (None, LATER)
    assert known.reported_unshipped_count == 3  # Positions 1 to 3.


def test_a_repeat_of_old_rows_brings_no_old_news(world: IngestWorld, enrolled: Agent) -> None:
    disk = Disk(world, enrolled, b"d")
    disk.push(event("e-1"), event("e-2"))
    disk.push(event("e-1"), oldest=NOON)
    assert disk.known.oldest_unshipped_event_time is None


def test_a_part_of_a_push_leaves_the_rest_unshipped(
    world: IngestWorld, enrolled: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "PART_EVENTS_MAX", 1)
    told: list[datetime | None] = []
    original = ingest.advance_disk

    def listen(*arguments: object, push: UsagePush, **fields: object) -> None:
        told.append(push.oldest_unshipped_event_time)
        original(*arguments, push=push, **fields)  # type: ignore[arg-type]

    monkeypatch.setattr(ingest, "advance_disk", listen)
    disk = Disk(world, enrolled, b"d")
    old = NOON - timedelta(days=1)
    disk.push(event("e-1"), event("e-2", at=old), event("e-3"), oldest=LATER)
    # After e-1 the two others are held; after e-2 only e-3; then what the agent said.
    assert told == [old, NOON, LATER]
