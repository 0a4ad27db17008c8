"""Tokens of agents are rotated and revoked; nothing else of the agent changes. Both databases."""

import pytest
from structlog.testing import capture_logs

from billing_server.services.agent_tokens import revoke_agent, rotate_agent_token
from billing_server.services.authenticate_agent import authenticate_agent
from billing_server.services.context import ServiceContext
from billing_server.services.enroll_agent import enroll_agent
from billing_server.store.unit_of_work import SqlStore
from metering.errors import AuthenticationError, NotFoundError
from tests.billing_server.world import make_context


@pytest.fixture
def context(store: SqlStore) -> ServiceContext:
    return make_context(store)


def is_taken(context: ServiceContext, token: str) -> bool:
    try:
        authenticate_agent(context.store, token=token)
    except AuthenticationError:
        return False
    return True


def test_a_rotated_token_takes_the_place_of_the_old_one(context: ServiceContext) -> None:
    enrolled = enroll_agent(context, name="host-1")
    other = enroll_agent(context, name="host-2")
    with capture_logs() as logs:
        rotated = rotate_agent_token(context, name="host-1")
    assert rotated.agent.agent_id == enrolled.agent.agent_id
    assert not is_taken(context, enrolled.token)
    assert is_taken(context, rotated.token)
    assert is_taken(context, other.token)
    assert [log["event"] for log in logs] == ["agent_token_rotated"]
    assert rotated.token not in str(logs)


def test_a_revoked_token_is_refused_until_it_is_rotated(context: ServiceContext) -> None:
    enrolled = enroll_agent(context, name="host-1")
    with capture_logs() as logs:
        revoked = revoke_agent(context, name="host-1")
        again = revoke_agent(context, name="host-1")
    assert not is_taken(context, enrolled.token)
    assert again.revoke_time == revoked.revoke_time is not None
    assert [log["event"] for log in logs] == ["agent_revoked"]
    assert is_taken(context, rotate_agent_token(context, name="host-1").token)
    assert not is_taken(context, enrolled.token)


def test_the_audit_tells_who_changed_a_token(context: ServiceContext) -> None:
    enrolled = enroll_agent(context, name="host-1")
    revoke_agent(context, name="host-1", actor="anna")
    revoke_agent(context, name="host-1", actor="anna")
    rotated = rotate_agent_token(context, name="host-1", actor="ben")
    with context.store.read() as unit:
        entries = unit.audit.page(before=None, limit=9)
    agent_id = enrolled.agent.agent_id
    assert [(each.actor, each.action, each.subject, each.detail) for each in entries] == [
        ("ben", "agent.rotate", "host-1", {"agent": agent_id, "was_revoked": True}),
        ("anna", "agent.revoke", "host-1", {"agent": agent_id, "was_revoked": False}),
    ]
    assert rotated.token not in str(entries)


@pytest.mark.parametrize("name", ["nobody", "", "host-1~00ff", "x y"])
def test_a_name_that_is_not_enrolled_is_refused(context: ServiceContext, name: str) -> None:
    for change in (rotate_agent_token, revoke_agent):
        with pytest.raises(NotFoundError) as refused:
            change(context, name=name)
        assert refused.value.reason == "AGENT_UNKNOWN"
