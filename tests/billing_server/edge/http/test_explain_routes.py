"""`…/explain` and `…/events` over HTTP."""

import pytest

from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import CATALOG, Api, Usage, apply, make_context


@pytest.fixture
def api(memory_store: SqlStore) -> Api:
    api = Api(make_context(memory_store))
    apply(api.context, CATALOG)
    usage = Usage(api.context)
    usage.send("1500", at="2026-02-01T00:00:00Z", event_id="e1")
    usage.send("250", at="2026-02-02T00:00:00Z", event_id="e2")
    return api


def test_an_issued_and_an_upcoming_invoice_are_explained_in_one_form(api: Api) -> None:
    start = api.get("/v1/invoices/INV-000001/explain")
    assert [line["calculation"] for line in start["lines"]] == [["amount: 20.00 USD, exact"]]
    upcoming = api.get("/v1/customers/acme/upcoming-invoice/explain", params={"line": 1})
    (line,) = upcoming["lines"]
    assert (line["line"], line["usage"]["event_count"], line["amount"]) == (1, 2, "7.50")
    assert upcoming.keys() == start.keys()


def test_events_of_a_line_come_in_pages(api: Api) -> None:
    path = "/v1/customers/acme/upcoming-invoice/lines/1/events"
    first = api.get(path, params={"limit": 1})
    rest = api.get(path, params={"limit": 1, "cursor": first["next_cursor"]})
    assert [page["data"][0]["event_id"] for page in (first, rest)] == ["e1", "e2"]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/v1/invoices/INV-9/explain", 404, "INVOICE_NOT_FOUND"),
        ("/v1/invoices/INV-000001/explain?line=7", 404, "LINE_NOT_FOUND"),
        ("/v1/invoices/INV-000001/lines/0/events", 412, "LINE_WITHOUT_EVENTS"),
        ("/v1/customers/nobody/upcoming-invoice/explain", 404, "CUSTOMER_NOT_FOUND"),
    ],
)
def test_what_cannot_be_explained_has_its_reason(
    api: Api, path: str, status: int, reason: str
) -> None:
    response = api.call("GET", path)
    assert (response.status_code, response.json()["reason"]) == (status, reason)


def test_an_invoice_is_compared_with_the_one_before(api: Api) -> None:
    compared = api.get("/v1/invoices/INV-000001/comparison")
    assert (compared["before"], compared["difference"]) == (None, "20.00")
    path = "/v1/customers/acme/upcoming-invoice/comparison"
    assert api.get(path, params={"basis": "estimate"})["basis"] == "estimate"
    assert api.call("GET", path, params={"basis": "guess"}).status_code == 400
