"""`/v1/invoices`."""

import pytest

from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import CATALOG, Api, make_context


def test_invoices_are_listed_in_pages_and_shown_as_they_were_written(
    memory_store: SqlStore,
) -> None:
    api = Api(make_context(memory_store))
    api.post("/v1/catalog/apply", {"text": CATALOG})
    api.post("/v1/clock/advance", {"to": "2026-04-01T00:00:00Z"})
    first = api.get("/v1/invoices", params={"limit": 2})
    rest = api.get("/v1/invoices", params={"limit": 2, "cursor": first["next_cursor"]})
    invoices = [*first["data"], *rest["data"]]
    assert [invoice["number"] for invoice in invoices] == [
        "INV-000001",
        "INV-000002",
        "INV-000003",
    ]
    assert rest["next_cursor"] is None
    for invoice in invoices:
        assert api.get(f"/v1/invoices/{invoice['number']}") == invoice
        assert api.get(f"/v1/invoices/{invoice['id']}") == invoice
    # The fields stand in the order of the contract, in lists too.
    assert list(invoices[0])[:4] == ["id", "number", "state", "reason"]


@pytest.mark.parametrize(("field", "choice"), [("state", "finalized"), ("reason", "periodic")])
def test_an_unknown_choice_is_refused_with_the_choices(
    memory_store: SqlStore, field: str, choice: str
) -> None:
    api = Api(make_context(memory_store))
    answer = api.call("GET", "/v1/invoices", params={field: "bogus"})
    assert answer.status_code == 400
    (violation,) = answer.json()["violations"]
    assert violation["field"] == field
    assert choice in violation["description"]
    api.post("/v1/catalog/apply", {"text": CATALOG})
    assert len(api.get("/v1/invoices", params={"state": "finalized"})["data"]) == 1
    assert api.get("/v1/invoices", params={"reason": "periodic"})["data"] == []
