"""`/v1/agents`, `/v1/clock`."""

import pytest

from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import Api, make_context


@pytest.fixture
def api(memory_store: SqlStore) -> Api:
    return Api(make_context(memory_store))


def test_an_agent_s_token_is_shown_once(api: Api) -> None:
    enrolled = api.post("/v1/agents", {"name": "host-1"})
    token = enrolled.json()["token"]
    assert enrolled.status_code == 201
    listed = api.call("GET", "/v1/agents")
    assert [agent["name"] for agent in listed.json()["data"]] == ["host-1"]
    assert token not in listed.text
    again = api.post("/v1/agents", {"name": "host-1"})
    assert (again.status_code, again.json()["reason"]) == (409, "AGENT_NAME_TAKEN")


def test_the_clock_is_shown_and_never_goes_back(api: Api) -> None:
    assert api.get("/v1/clock") == {"now": "2026-01-31T10:00:00Z", "is_test_clock": True}
    back = api.post("/v1/clock/advance", {"to": "2026-01-31T09:00:00Z"})
    assert (back.status_code, back.json()["reason"]) == (400, "CLOCK_BACKWARDS")
    naive = api.post("/v1/clock/advance", {"to": "2026-03-01T00:00:00"})
    assert naive.json()["reason"] == "INSTANT_MALFORMED"
