"""Agents come back as they were written. On both databases."""

import pytest

from billing_server.domain.ports.agents import AgentSession, DeclaredLoss
from billing_server.store.unit_of_work import SqlStore
from metering.errors import AlreadyExistsError
from tests.billing_server.ingest_world import NOON, START

SESSION = AgentSession(
    disk_id=b"d" * 16,
    session_no=3,
    session_nonce=b"n" * 16,
    sync_no=5,
    applied_seq=7,
    oldest_unshipped_event_time=None,
    last_seen=NOON,
    agent_version="0.1.0",
)


@pytest.fixture
def enrolled(store: SqlStore) -> SqlStore:
    with store.write() as unit:
        for name in ("host-b", "host-a"):
            unit.agents.enroll(
                agent_id=f"agt_{name}", name=name, token_sha256=f"token-{name}", create_time=START
            )
    return store


def test_an_agent_is_found_by_id_name_and_token(enrolled: SqlStore) -> None:
    with enrolled.read() as unit:
        found = unit.agents.get("agt_host-a")
        assert found is not None
        assert found.create_time == START
        assert (found.session_no, found.applied_seq, found.disk_id) == (0, 0, None)
        assert unit.agents.by_name("host-a") == found
        assert unit.agents.by_token_sha256("token-host-a") == found
        assert unit.agents.get("nobody") is None
        assert unit.agents.by_name("nobody") is None
        assert unit.agents.by_token_sha256("nothing") is None


def test_a_name_is_taken_once_and_the_unit_goes_on(enrolled: SqlStore) -> None:
    with enrolled.write() as unit:
        with pytest.raises(AlreadyExistsError, match="host-a") as raised:
            unit.agents.enroll(agent_id="agt_2", name="host-a", token_sha256="t", create_time=START)
        unit.agents.enroll(agent_id="agt_3", name="host-c", token_sha256="t", create_time=START)
    assert raised.value.reason == "AGENT_NAME_TAKEN"


def test_agents_are_listed_by_name_page_by_page(enrolled: SqlStore) -> None:
    with enrolled.read() as unit:
        (first,) = unit.agents.page(after=None, limit=1)
        (second,) = unit.agents.page(after=first.name, limit=1)
        assert (first.name, second.name) == ("host-a", "host-b")
        assert unit.agents.page(after=second.name, limit=1) == ()


def test_a_session_and_a_position_are_written_over_the_old_ones(enrolled: SqlStore) -> None:
    with enrolled.write() as unit:
        unit.agents.open_session("agt_host-a", session=SESSION)
        unit.agents.advance(
            "agt_host-a", applied_seq=9, oldest_unshipped_event_time=START, last_seen=NOON
        )
    with enrolled.write() as unit:
        kept = unit.agents.lock("agt_host-a")
        other = unit.agents.lock("agt_host-b")
        assert unit.agents.lock("nobody") is None
    assert kept is not None
    assert (kept.session_no, kept.sync_no, kept.applied_seq) == (3, 5, 9)
    assert (kept.disk_id, kept.session_nonce) == (b"d" * 16, b"n" * 16)
    assert (kept.oldest_unshipped_event_time, kept.last_seen) == (START, NOON)
    assert other is not None
    assert other.session_no == 0


def test_a_new_token_replaces_the_old_one(enrolled: SqlStore) -> None:
    with enrolled.write() as unit:
        unit.agents.replace_token("agt_host-a", token_sha256="fresh")
        assert unit.agents.by_token_sha256("token-host-a") is None
        assert unit.agents.by_token_sha256("fresh") is not None


def test_losses_are_listed_newest_first(enrolled: SqlStore) -> None:
    losses = [DeclaredLoss("agt_host-a", 1, 10, START), DeclaredLoss("agt_host-b", 5, 5, NOON)]
    with enrolled.write() as unit:
        for loss in losses:
            unit.agents.declare_loss(loss)
    with enrolled.read() as unit:
        assert unit.agents.losses(limit=10) == tuple(reversed(losses))
        assert unit.agents.losses(limit=1) == (losses[1],)
        assert len(unit.agents.incarnation()) == 32
