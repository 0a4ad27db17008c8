"""`/v1/agents`, `/v1/quarantine`, `/v1/conflicts`, `/v1/clock`."""

import pytest

from billing_server.domain.subscription.model import Customer
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import CATALOG, Api, Usage, make_context


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


def test_what_waits_and_what_conflicts_is_listed(api: Api) -> None:
    api.post("/v1/catalog/apply", {"text": CATALOG})
    usage = Usage(api.context)
    usage.send("1", at="2026-02-01T00:00:00Z", customer="nobody")
    for tokens in ("1", "2"):
        usage.send(tokens, at="2026-02-01T00:00:00Z", event_id="twice")
    (waiting,) = api.get("/v1/quarantine")["data"]
    assert (waiting["customer"], waiting["reason"]) == ("nobody", "CUSTOMER_UNKNOWN")
    (conflict,) = api.get("/v1/conflicts")["data"]
    assert (conflict["event_id"], conflict["quantities"]) == ("twice", {"tokens": "2"})


def test_the_clock_is_shown_and_never_goes_back(api: Api) -> None:
    assert api.get("/v1/clock") == {"now": "2026-01-31T10:00:00Z", "is_test_clock": True}
    back = api.post("/v1/clock/advance", {"to": "2026-01-31T09:00:00Z"})
    assert (back.status_code, back.json()["reason"]) == (400, "CLOCK_BACKWARDS")
    naive = api.post("/v1/clock/advance", {"to": "2026-03-01T00:00:00"})
    assert naive.json()["reason"] == "INSTANT_MALFORMED"


def test_waiting_usage_is_tried_again_on_request(api: Api) -> None:
    api.post("/v1/catalog/apply", {"text": CATALOG.split("customers:")[0]})
    Usage(api.context).send("1", at="2026-02-01T00:00:00Z")
    with api.context.store.write() as unit:
        # As left behind by a server that was killed right after the customer was committed.
        unit.customers.add(Customer(id="acme"), create_time=api.context.clock.now())
    other = api.post("/v1/quarantine/redrive", {"customer": "other"})
    assert (other.status_code, other.json()) == (200, {"counted": 0, "waiting": 0})
    assert api.post("/v1/quarantine/redrive", {}).json() == {"counted": 1, "waiting": 0}
    assert api.post("/v1/quarantine/redrive", {}).json() == {"counted": 0, "waiting": 0}
