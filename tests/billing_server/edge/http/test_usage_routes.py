"""`/v1/usage/…`: corrections, adjustments, backfill and events over HTTP."""

from datetime import timedelta
from typing import Any

import pytest

from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.meters import METERS, START, Sender
from tests.billing_server.world import Api, apply, make_context

WINDOW = {"start": START, "end": "2026-05-01T00:00:00Z", "customer": "acme"}


@pytest.fixture
def api(memory_store: SqlStore) -> Api:
    context = make_context(memory_store, start=START)
    apply(context, METERS)
    Sender(context).send({"tokens": "5", "calls": "1"}, at=START, event_id="e1", model="large")
    return Api(context)


def used(api: Api, meter: str) -> str | None:
    groups: list[dict[str, Any]] = api.get("/v1/usage", params={**WINDOW, "meter": meter})["data"]
    return groups[0]["quantity"] if groups else None


def test_an_event_is_amended_and_voided(api: Api) -> None:
    body = {"event_id": "e1", "quantities": {"tokens": "7.50"}, "reason": "recount"}
    amended = api.post("/v1/usage/amend", body)
    assert amended.status_code == 201
    assert amended.json()["quantities"] == {"tokens": "7.5"}
    assert (used(api, "tokens"), used(api, "calls")) == ("7.5", None)
    voided = api.post("/v1/usage/void", {"event_id": "e1", "customer": "acme"})
    assert (voided.json()["kind"], voided.json()["version"]) == ("void", 2)
    assert used(api, "tokens") is None
    (event,) = api.get("/v1/usage/events", params={**WINDOW, "meter": "tokens"})["data"] or [None]
    assert event is None


def test_a_meter_is_adjusted_with_a_reason(api: Api) -> None:
    body = {
        "customer": "acme",
        "meter": "calls",
        "quantity": "-3",
        "reason": "goodwill",
        "event_time": START,
        "dimensions": {"model": "large"},
    }
    made = api.post("/v1/usage/adjust", body)
    assert made.status_code == 201
    assert made.json()["id"].startswith("adj_")
    assert used(api, "calls") == "-2"
    refused = api.post("/v1/usage/adjust", {**body, "meter": "peak"})
    assert (refused.status_code, refused.json()["reason"]) == (400, "METER_NOT_ADJUSTABLE")


def test_an_adjustment_is_made_once_though_the_server_died_before_it_kept_its_answer(
    api: Api,
) -> None:
    body = {
        "customer": "acme",
        "meter": "calls",
        "quantity": "-3",
        "reason": "goodwill",
        "event_time": START,
        "dimensions": {"model": "large"},
    }
    headers = {"Idempotency-Key": "key-1"}
    first = api.post("/v1/usage/adjust", body, headers=headers)
    with api.context.store.write() as unit:
        later = api.context.wall_clock.now() + timedelta(seconds=1)
        assert unit.idempotency.purge(created_before=later, limit=9) == 1
    again = api.post("/v1/usage/adjust", body, headers=headers)
    assert "Idempotent-Replayed" not in again.headers
    assert (again.status_code, again.json()) == (201, first.json())
    other = api.post("/v1/usage/adjust", body, headers={"Idempotency-Key": "key-2"})
    assert other.json()["id"] != first.json()["id"]
    assert used(api, "calls") == "-5"


def test_events_are_imported_and_listed(api: Api) -> None:
    event = {
        "event_id": "old",
        "customer": "acme",
        "event_time": START,
        "quantities": {"tokens": "1"},
    }
    answers = [api.post("/v1/usage/import", {"events": [event]}).json() for _ in range(2)]
    assert [(each["counted"], each["duplicates"]) for each in answers] == [(1, 0), (0, 1)]
    wanted = {**WINDOW, "meter": "tokens"}
    listed = api.get("/v1/usage/events", params=wanted)["data"]
    assert [(each["event_id"], each["quantity"]) for each in listed] == [("e1", "5"), ("old", "1")]
    large = api.get("/v1/usage/events", params={**wanted, "where": "model=large"})["data"]
    assert [each["event_id"] for each in large] == ["e1"]
