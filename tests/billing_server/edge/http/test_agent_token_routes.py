"""`/v1/agents/{name}/rotate` and `/v1/agents/{name}/revoke`."""

import pytest

from billing_server.services.authenticate_agent import authenticate_agent
from billing_server.store.unit_of_work import SqlStore
from metering.errors import AuthenticationError
from tests.billing_server.world import Api, make_context


@pytest.fixture
def api(memory_store: SqlStore) -> Api:
    return Api(make_context(memory_store))


def test_a_token_is_rotated_and_revoked(api: Api) -> None:
    old = api.post("/v1/agents", {"name": "host-1"}).json()
    rotated = api.post("/v1/agents/host-1/rotate", {})
    assert rotated.status_code == 200
    assert (rotated.json()["id"], rotated.json()["name"]) == (old["id"], "host-1")
    token = rotated.json()["token"]
    assert authenticate_agent(api.context.store, token=token).agent_id == old["id"]
    revoked = api.post("/v1/agents/host-1/revoke", {})
    assert (revoked.status_code, "token" in revoked.json()) == (200, False)
    assert revoked.json()["revoke_time"].endswith("Z")
    with pytest.raises(AuthenticationError):
        authenticate_agent(api.context.store, token=token)


@pytest.mark.parametrize("verb", ["rotate", "revoke"])
def test_an_agent_that_is_not_enrolled_is_not_found(api: Api, verb: str) -> None:
    answer = api.post(f"/v1/agents/nobody/{verb}", {})
    assert (answer.status_code, answer.json()["reason"]) == (404, "AGENT_UNKNOWN")
