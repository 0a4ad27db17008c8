"""An older agent towards the present server, and an older service towards the present agent."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from billing_server.edge.grpc.server import IngestServer
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.ingest_world import NOON, START, IngestWorld
from tests.compatibility.older import OlderClient, older_messages
from tests.meter_agent.support import RunningAgent

TOKEN = "mat_older"
NOON_SECONDS = int(NOON.timestamp())
APPLIED, FENCED, GAP = 1, 2, 3
"""`PushResult` of the older contract."""


@pytest.fixture
def world(store: SqlStore) -> IngestWorld:
    made = IngestWorld(store)
    with store.write() as unit:
        unit.agents.enroll(
            agent_id="agt_older",
            name="host-older",
            token_sha256=hashlib.sha256(TOKEN.encode()).hexdigest(),
            create_time=START,
        )
    return made


@pytest.fixture
def agent(world: IngestWorld) -> Iterator[OlderClient]:
    server = IngestServer(store=world.store, clock=world.clock, listen="127.0.0.1:0")
    server.start()
    address = f"127.0.0.1:{server.port}"
    with OlderClient(address, service="IngestService", token=TOKEN) as client:
        yield client
    server.stop()


def opened(agent: OlderClient, *, sync_no: int = 1, **fields: Any) -> Any:
    return agent.call(
        "OpenSession",
        **{
            "disk_id": b"o" * 16,
            "nonce": sync_no.to_bytes(16),
            "sync_no": sync_no,
            "next_seq": 1,
            "earliest_kept_seq": 1,
            "agent_version": "0.0.9",
            **fields,
        },
    )


def pushed(agent: OlderClient, session: Any, *, first_seq: int, ids: list[str]) -> Any:
    messages = older_messages()
    events = [
        messages["UsageEvent"](
            event_id=name, customer_id="acme", quantities={"input_tokens": "100"}
        )
        for name in ids
    ]
    block = messages["UsageBlock"](
        first_seq=first_seq,
        event_count=len(events),
        receive_time={"seconds": NOON_SECONDS},
        events=messages["UsageEvents"](events=events).SerializeToString(),
    )
    return agent.call(
        "PushUsage",
        server_incarnation=session.server_incarnation,
        session_no=session.session_no,
        first_seq=first_seq,
        blocks=[block],
    )


def test_the_older_contract_knows_fewer_fields_than_the_present_one() -> None:
    fields = older_messages()["PushUsageRequest"].DESCRIPTOR.fields_by_name
    assert "disk_id" not in fields
    assert "next_seq" not in fields


def test_an_older_agent_ships_and_each_event_counts_once(
    agent: OlderClient, world: IngestWorld
) -> None:
    session = opened(agent)
    assert (session.agent_id, session.session_no, session.applied_seq) == ("agt_older", 1, 0)
    first = pushed(agent, session, first_seq=1, ids=["a", "b"])
    assert (first.result, first.counted, first.applied_seq, first.safe_seq) == (APPLIED, 2, 2, 2)
    again = pushed(agent, session, first_seq=1, ids=["a", "b"])
    # A repeated push gets the same answer; the totals below show that it counted nothing.
    assert (again.result, again.counted, again.applied_seq) == (APPLIED, 2, 2)
    last = pushed(agent, session, first_seq=3, ids=["c"])
    assert (last.result, last.counted, last.applied_seq) == (APPLIED, 1, 3)
    # 3 events of 100 tokens.
    assert world.totals() == {("input_tokens", ""): 300}


def test_an_older_agent_is_fenced_and_told_of_gaps_as_ever(agent: OlderClient) -> None:
    session = opened(agent)
    assert pushed(agent, session, first_seq=2, ids=["late"]).result == GAP
    second = opened(agent, sync_no=2)
    assert second.session_no == session.session_no + 1
    assert pushed(agent, session, first_seq=1, ids=["a"]).result == FENCED
    assert pushed(agent, second, first_seq=1, ids=["a"]).counted == 1


def test_an_older_agents_sign_of_life_lets_periods_close(
    agent: OlderClient, world: IngestWorld
) -> None:
    session = opened(agent, oldest_unshipped_event_time={"seconds": NOON_SECONDS})
    answer = agent.call(
        "PushUsage",
        server_incarnation=session.server_incarnation,
        session_no=session.session_no,
        first_seq=1,
    )
    assert answer.result == APPLIED
    with world.store.read() as unit:
        found = unit.agents.get("agt_older")
    assert found is not None
    assert found.oldest_unshipped_event_time is None
    assert found.agent_version == "0.0.9"


def test_an_older_service_records_at_the_present_agent(tmp_path: Path) -> None:
    event = older_messages()["UsageEvent"](
        event_id="a", customer_id="acme", quantities={"input_tokens": "1"}
    )
    with (
        RunningAgent(tmp_path) as agent,
        OlderClient(agent.address, service="AgentService") as service,
    ):
        answer = service.call("RecordUsage", events=[event])
        status = service.call("GetAgentStatus")
    assert (answer.accepted_count, len(answer.rejected)) == (1, 0)
    assert (status.buffered_event_count, status.next_seq) == (1, 2)
