"""`/v1/quarantine`, `/v1/conflicts`."""

from typing import Any

import pytest

from billing_server.domain.subscription.model import Customer
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import CATALOG, Api, Usage, make_context


@pytest.fixture
def api(memory_store: SqlStore) -> Api:
    return Api(make_context(memory_store))


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


def test_waiting_usage_is_discarded_and_stands_in_the_audit(api: Api) -> None:
    api.post("/v1/catalog/apply", {"text": CATALOG})
    usage = Usage(api.context)
    usage.send("1", at="2026-02-01T00:00:00Z", customer="nobody", event_id="e1")
    usage.send("2.5", at="2026-02-01T00:00:00Z", event_id="e2")
    precise = api.get("/v1/quarantine?waiting_reason=QUANTITY_TOO_PRECISE")["data"]
    assert [waiting["event_id"] for waiting in precise] == ["e2"]
    by_id = {"event_ids": ["e1"], "reason": "load test"}
    assert api.post("/v1/quarantine/discard", by_id).json() == {"discarded": 1}
    assert api.post("/v1/quarantine/discard", by_id).json() == {"discarded": 0}
    by_reason = {"waiting_reason": "QUANTITY_TOO_PRECISE", "reason": "sent again, rounded"}
    assert api.post("/v1/quarantine/discard", by_reason).json() == {"discarded": 1}
    assert api.get("/v1/quarantine")["data"] == []
    newest, first = api.get("/v1/audit")["data"][:2]
    assert (newest["actor"], newest["subject"]) == ("test", "acme")
    assert (first["action"], first["subject"]) == ("quarantine.discard", "nobody")
    assert first["detail"] == {"reason": "load test", "events": 1, "event_ids": ["e1"]}


def test_waiting_usage_is_counted_for_another_customer(api: Api) -> None:
    api.post("/v1/catalog/apply", {"text": CATALOG})
    Usage(api.context).send("7", at="2026-02-01T00:00:00Z", customer="amce")
    body = {"customer": "amce", "to_customer": "acme", "reason": "a typo"}
    assert api.post("/v1/quarantine/reassign", body).json() == {"counted": 1, "waiting": 0}
    assert api.post("/v1/quarantine/reassign", body).json() == {"counted": 0, "waiting": 0}
    query = "customer=acme&meter=tokens&start=2026-02-01T00:00:00Z&end=2026-02-02T00:00:00Z"
    assert api.get(f"/v1/usage?{query}")["data"][0]["quantity"] == "7"


def test_discarded_conflicts_are_listed_no_more(api: Api) -> None:
    api.post("/v1/catalog/apply", {"text": CATALOG})
    usage = Usage(api.context)
    for tokens in ("1", "2"):
        usage.send(tokens, at="2026-02-01T00:00:00Z", event_id="twice")
    body = {"event_ids": ["twice"], "reason": "a bug of the caller"}
    assert api.post("/v1/conflicts/discard", body).json() == {"discarded": 1}
    assert api.post("/v1/conflicts/discard", body).json() == {"discarded": 0}
    assert api.get("/v1/conflicts")["data"] == []
    entry = api.get("/v1/audit")["data"][0]
    assert (entry["actor"], entry["action"]) == ("test", "conflict.discard")


@pytest.mark.parametrize(
    ("path", "body", "problem", "field"),
    [
        ("quarantine/discard", {"reason": "why"}, (400, "SELECTION_EMPTY"), "event_ids: "),
        ("conflicts/discard", {"reason": "why"}, (400, "SELECTION_EMPTY"), "event_ids: "),
        ("quarantine/discard", {"customer": "a", "reason": " "}, (400, "REASON_MISSING"), "reason"),
        (
            "quarantine/discard",
            {"event_ids": ["e1"], "reason": "why"},
            (412, "EVENT_COUNTED"),
            "event_ids: event 'e1' of customer 'acme' is counted; void it instead",
        ),
        (
            "quarantine/reassign",
            {"customer": "a", "to_customer": "b", "reason": "why"},
            (404, "CUSTOMER_NOT_FOUND"),
            "'b'",
        ),
    ],
)
def test_a_refusal_names_the_field_and_what_to_do(
    api: Api, path: str, body: dict[str, Any], problem: tuple[int, str], field: str
) -> None:
    api.post("/v1/catalog/apply", {"text": CATALOG})
    Usage(api.context).send("1", at="2026-02-01T00:00:00Z", event_id="e1")
    refused = api.post(f"/v1/{path}", body)
    assert (refused.status_code, refused.json()["reason"]) == problem
    assert field in refused.json()["detail"]
