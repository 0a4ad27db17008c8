"""`/v1/join-tokens`."""

import pytest

from billing_server.services.join_fleet import join_fleet
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import Api, make_context


@pytest.fixture
def api(memory_store: SqlStore) -> Api:
    return Api(make_context(memory_store))


def test_a_join_token_is_made_listed_used_and_revoked(api: Api) -> None:
    answer = api.post("/v1/join-tokens", {"fleet": "gpu", "ttl_seconds": 60, "max_agents": 1})
    made = answer.json()
    token = made.pop("token")
    assert (answer.status_code, made["state"], made["joined"]) == (201, "open", 0)
    assert api.get("/v1/join-tokens")["data"] == [made]
    join_fleet(api.context, token=token, token_sha256=b"x" * 32, host_name="host-1")
    (listed,) = api.get("/v1/join-tokens")["data"]
    assert listed == {**made, "joined": 1, "state": "used_up"}
    revoked = api.post(f"/v1/join-tokens/{made['id']}/revoke", {})
    assert (revoked.status_code, revoked.json()["state"]) == (200, "revoked")
    assert revoked.json()["revoke_time"].endswith("Z")
    assert "token" not in revoked.json()
    assert [each["name"] for each in api.get("/v1/agents")["data"]] == ["gpu-host-1"]


def test_what_is_not_said_is_30_days_and_100_agents(api: Api) -> None:
    made = api.post("/v1/join-tokens", {"fleet": "gpu", "is_ephemeral": True}).json()
    assert (made["max_agents"], made["is_ephemeral"]) == (100, True)


@pytest.mark.parametrize("seconds", [1, 10**18])
def test_a_time_span_out_of_range_is_refused(api: Api, seconds: int) -> None:
    answer = api.post("/v1/join-tokens", {"fleet": "gpu", "ttl_seconds": seconds})
    assert (answer.status_code, answer.json()["reason"]) == (400, "JOIN_TOKEN_OUT_OF_RANGE")


def test_an_id_that_is_not_there_is_not_found(api: Api) -> None:
    answer = api.post("/v1/join-tokens/jtk_none/revoke", {})
    assert (answer.status_code, answer.json()["reason"]) == (404, "JOIN_TOKEN_ID_UNKNOWN")
