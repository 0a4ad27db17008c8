"""`/v1/limits`, limits and balances of customers, lost agents' leases, and the audit."""

import pytest

from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.ingest_world import event
from tests.billing_server.lease_world import LeaseWorld, want
from tests.billing_server.limit_world import units
from tests.billing_server.world import CATALOG, Api, apply, context_of, make_context

DAILY = {"meter": "tokens", "window": "day", "max": "500"}


@pytest.fixture
def api(memory_store: SqlStore) -> Api:
    api = Api(make_context(memory_store))
    apply(api.context, CATALOG)
    return api


def test_a_limit_is_set_shown_and_removed(api: Api) -> None:
    path = "/v1/customers/acme/limits"
    put = api.call("PUT", f"{path}/daily", json=DAILY)
    assert (put.status_code, put.json()["limit"]["max"]) == (200, "500")
    (shown,) = api.get(path)["data"]
    assert (shown["key"], shown["max"], shown["left"], shown["unit"]) == (
        "daily",
        "500",
        "500",
        "token",
    )
    assert shown["window"]["start"] == "2026-01-31T00:00:00Z"
    assert (shown["source"], shown["enforcement"], shown["leases"]) == ("customer", "hard", [])
    assert api.call("DELETE", f"{path}/daily").json()["data"] == []
    gone = api.call("DELETE", f"{path}/daily")
    assert (gone.status_code, gone.json()["reason"]) == (404, "LIMIT_NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**DAILY, "window": "dy"}, "window"),
        ({**DAILY, "meter": "gone"}, "meter"),
        ({**DAILY, "max": "-1"}, "max"),
        ({"amount": "5", "concurrency": 3}, "concurrency"),
        ({}, "meter"),
    ],
)
def test_a_mistake_names_its_field(api: Api, body: dict[str, object], field: str) -> None:
    answer = api.call("PUT", "/v1/customers/acme/limits/daily", json=body)
    assert (answer.status_code, answer.json()["reason"]) == (400, "LIMIT_INVALID")
    assert [each["field"] for each in answer.json()["violations"]] == [field]


def test_limits_of_plans_are_listed(api: Api) -> None:
    apply(
        api.context,
        CATALOG.replace("prices:", "limits: [{key: slots, concurrency: 8}]\n    prices:"),
    )
    (found,) = api.get("/v1/limits")["data"]
    assert (found["plan"], found["limit"]["key"], found["limit"]["concurrency"]) == (
        "pro",
        "slots",
        8,
    )
    (shown,) = api.get("/v1/customers/acme/limits")["data"]
    assert (shown["source"], shown["unit"], shown["left"]) == ("plan", "call", "8")


def test_a_balance_is_filled_once(api: Api) -> None:
    path = "/v1/customers/acme/balance"
    body = {"id": "p1", "amount": "25.00"}
    for _ in range(2):
        assert api.post(path, body).json() == {
            "customer": "acme",
            "currency": "USD",
            "amount": "25",
            "used": None,
            "left": None,
        }
    api.call("PUT", "/v1/customers/acme/limits/money", json={"balance": "prepaid"})
    shown = api.get(path)
    assert (shown["amount"], shown["used"], shown["left"]) == ("25", "0", "25")
    entry = api.get("/v1/audit")["data"][1]
    assert (entry["action"], entry["subject"], entry["detail"]["amount"]) == (
        "balance.add",
        "acme",
        "25.00",
    )
    assert entry["actor"]


def test_an_agent_is_forgotten_and_its_lease_released(memory_store: SqlStore) -> None:
    world = LeaseWorld(memory_store, units("daily", 100))
    agent = world.leasing("host-1")
    agent.sync(want("daily", 5))
    api = Api(context_of(world))
    forgotten = api.post("/v1/agents/host-1/forget", {}).json()
    assert (forgotten["name"], forgotten["lease_count"]) == ("host-1", 1)
    (shown,) = api.get("/v1/customers/acme/limits")["data"]
    (lease,) = shown["leases"]
    assert (lease["agent"], lease["state"], lease["rest"]) == ("host-1", "written_off", "50")
    assert (shown["presumed"], shown["left"]) == ("50", "50")
    released = api.post(f"/v1/leases/{lease['lease']}/release", {})
    assert released.json() == {"lease": lease["lease"], "customer": "acme", "limit": "daily"}
    again = api.post(f"/v1/leases/{lease['lease']}/release", {})
    assert again.json()["reason"] == "LEASE_NOT_WRITTEN_OFF"
    assert api.post("/v1/leases/xyz/release", {}).json()["reason"] == "LEASE_ID_MALFORMED"
    assert api.post("/v1/leases/" + "z" * 32 + "/release", {}).status_code == 400


def test_thresholds_are_listed(memory_store: SqlStore) -> None:
    world = LeaseWorld(memory_store, units("daily", 100))
    world.leasing().push(event("e1"))
    found = Api(context_of(world)).get("/v1/limits/threshold-events?customer=acme")["data"]
    assert [(each["share"], each["direction"]) for each in found] == [
        ("0.8", "rising"),
        ("1", "rising"),
    ]


def test_an_ephemeral_agent_is_enrolled(api: Api) -> None:
    api.post("/v1/agents", {"name": "pod-1", "is_ephemeral": True})
    with api.context.store.read() as unit:
        found = unit.agents.by_name("pod-1")
    assert found is not None
    assert found.is_ephemeral
