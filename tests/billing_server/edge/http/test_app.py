"""The application as a whole: what an operator and a program meet first."""

from pathlib import Path

from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import CATALOG, Api, Usage, make_context


def test_a_catalog_becomes_invoices_over_http_alone(store: SqlStore) -> None:
    context = make_context(store)
    api = Api(context)
    applied = api.post("/v1/catalog/apply", {"text": CATALOG, "name": "catalog.yaml"})
    assert [change["key"] for change in applied.json()["changes"]] == [
        "tokens",
        "pro",
        "acme",
        "sub-1",
    ]
    Usage(context).send("1500", at="2026-02-10T00:00:00Z")
    upcoming = api.get("/v1/customers/acme/upcoming-invoice")
    assert (upcoming["total"], upcoming["unpriced"]) == ("25.00", [])
    moved = api.post("/v1/clock/advance", {"to": "2026-02-28T11:00:00Z"})
    assert moved.json() == {"now": "2026-02-28T11:00:00Z", "is_test_clock": True}
    invoices = api.get("/v1/invoices", params={"reason": "periodic"})["data"]
    assert [(invoice["number"], invoice["total"]) for invoice in invoices] == [
        ("INV-000002", "25.00")
    ]


def test_health_needs_no_key_and_tells_life_from_readiness(memory_store: SqlStore) -> None:
    api = Api(make_context(memory_store))
    for path, state in (("/healthz", "alive"), ("/readyz", "ready")):
        response = api.call("GET", path, headers={"Authorization": ""})
        assert (response.status_code, response.json()) == (200, {"state": state})


def test_the_description_names_every_resource_and_the_key(memory_store: SqlStore) -> None:
    api = Api(make_context(memory_store))
    description = api.get("/openapi.json")
    documented = set(description["paths"])
    assert {
        "/v1/meters",
        "/v1/plans/{key}",
        "/v1/customers",
        "/v1/customers/{customer_id}/upcoming-invoice",
        "/v1/subscriptions",
        "/v1/usage",
        "/v1/invoices/{number_or_id}",
        "/v1/agents",
        "/v1/quarantine",
        "/v1/conflicts",
        "/v1/catalog/apply",
        "/v1/clock/advance",
    } <= documented
    assert "HTTPBearer" in description["components"]["securitySchemes"]
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], f"{method} {path} has no description"
    assert api.call("GET", "/docs").status_code == 200


def test_every_path_of_the_api_stands_in_the_reference(memory_store: SqlStore) -> None:
    root = Path(__file__).resolve().parents[4]
    reference = (root / "docs" / "reference" / "http-api.md").read_text()
    for path in Api(make_context(memory_store)).get("/openapi.json")["paths"]:
        assert path in reference, path
