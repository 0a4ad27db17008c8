"""Agents get a token that is shown once."""

import pytest

from billing_server.services.api_keys import sha256_of_secret
from billing_server.services.enroll_agent import enroll_agent, list_agents
from billing_server.services.pages import PageRequest
from billing_server.store.unit_of_work import SqlStore
from metering.errors import AlreadyExistsError, ValidationError
from tests.billing_server.world import make_context


def test_an_enrolled_agent_is_found_by_its_token_whose_hash_alone_is_kept(store: SqlStore) -> None:
    context = make_context(store)
    enrolled = enroll_agent(context, name="gpu-host-1")
    with store.read() as unit:
        found = unit.agents.by_token_sha256(sha256_of_secret(enrolled.token))
    assert found is not None
    assert found.name == "gpu-host-1"
    assert enrolled.token not in repr(found)


def test_a_name_is_enrolled_once_and_the_error_says_what_to_do(store: SqlStore) -> None:
    context = make_context(store)
    enroll_agent(context, name="gpu-host-1")
    with pytest.raises(AlreadyExistsError, match="another name") as refused:
        enroll_agent(context, name="gpu-host-1")
    assert refused.value.reason == "AGENT_NAME_TAKEN"


@pytest.mark.parametrize("name", ["", "-x", "a b", "a" * 65, "ü"])
def test_a_malformed_name_is_refused(store: SqlStore, name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        enroll_agent(make_context(store), name=name)
    assert refused.value.reason == "AGENT_NAME_MALFORMED"


def test_agents_are_listed_by_name_in_pages(store: SqlStore) -> None:
    context = make_context(store)
    for name in ("c", "a", "b"):
        enroll_agent(context, name=name)
    first = list_agents(context, page=PageRequest(limit=2))
    rest = list_agents(context, page=PageRequest(cursor=first.next_cursor, limit=2))
    assert [agent.name for agent in first.entries] == ["a", "b"]
    assert ([agent.name for agent in rest.entries], rest.next_cursor) == (["c"], None)
