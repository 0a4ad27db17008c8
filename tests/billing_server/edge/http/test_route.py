"""What surrounds every call: the key, idempotency, bounds."""

import re

import pytest

from billing_server.edge.http import route
from billing_server.services.api_keys import create_api_key
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import Api, make_context


@pytest.fixture
def api(store: SqlStore) -> Api:
    return Api(make_context(store))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "API_KEY_MISSING"),
        ("Basic abc", "API_KEY_MISSING"),
        ("Bearer wrong", "API_KEY_UNKNOWN"),
    ],
)
def test_a_call_without_a_known_key_is_refused(api: Api, header: str, reason: str) -> None:
    for method, path in (("GET", "/v1/customers"), ("POST", "/v1/customers")):
        response = api.call(method, path, headers={"Authorization": header})
        assert (response.status_code, response.json()["reason"]) == (401, reason)
        assert response.headers["WWW-Authenticate"] == "Bearer"


def test_every_call_under_v1_asks_for_a_key(api: Api) -> None:
    paths = api._app.openapi()["paths"]
    calls = [
        (method.upper(), re.sub(r"{[^}]*}", "x", path))
        for path, methods in paths.items()
        for method in methods
        if path not in {"/healthz", "/readyz", "/metrics"}
    ]
    assert len(calls) > 50
    for method, path in calls:
        response = api.call(method, path, headers={"Authorization": ""})
        assert (method, path, response.status_code) == (method, path, 401)


def test_a_repeated_post_is_answered_the_same_and_another_body_is_refused(api: Api) -> None:
    headers = {"Idempotency-Key": "key-1"}
    first = api.post("/v1/agents", {"name": "host-1"}, headers=headers)
    again = api.post("/v1/agents", {"name": "host-1"}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"
    other = api.post("/v1/agents", {"name": "host-2"}, headers=headers)
    assert (other.status_code, other.json()["reason"]) == (409, "IDEMPOTENCY_KEY_REUSED")
    elsewhere = api.post("/v1/customers", {"id": "host-1"}, headers=headers)
    assert elsewhere.json()["reason"] == "IDEMPOTENCY_KEY_REUSED"
    assert len(api.get("/v1/agents")["data"]) == 1


def test_a_refused_post_may_be_sent_again_under_its_key(api: Api) -> None:
    headers = {"Idempotency-Key": "key-1"}
    body = {"id": "sub-1", "customer": "acme", "plan": "pro"}
    assert api.post("/v1/subscriptions", body, headers=headers).status_code == 404
    assert api.post("/v1/customers", {"id": "acme"}, headers=headers).status_code == 201


def test_a_body_beyond_the_bound_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "BODY_BYTES_MAX", 100)
    for method, path in (("POST", "/v1/customers"), ("PUT", "/v1/customers/a/limits/daily")):
        response = api.call(method, path, content=b"x" * 101)
        assert (response.status_code, response.json()["reason"]) == (400, "REQUEST_TOO_LARGE")


def test_the_key_is_checked_before_a_body_is_read(api: Api) -> None:
    response = api.call("POST", "/v1/customers", content=b"x", headers={"Authorization": ""})
    assert response.status_code == 401


@pytest.mark.parametrize("path", ["/v1/customers/a%00b", "/v1/invoices?customer=%00"])
def test_a_nul_character_is_refused_before_the_database_sees_it(api: Api, path: str) -> None:
    response = api.call("GET", path)
    assert (response.status_code, response.json()["reason"]) == (400, "REQUEST_INVALID")


def test_another_caller_may_use_the_same_idempotency_key(api: Api) -> None:
    headers = {"Idempotency-Key": "key-1"}
    assert api.post("/v1/customers", {"id": "a"}, headers=headers).status_code == 201
    other = create_api_key(api.context, name="another")
    headers["Authorization"] = f"Bearer {other}"
    response = api.post("/v1/customers", {"id": "b"}, headers=headers)
    assert (response.status_code, response.json()["id"]) == (201, "b")
