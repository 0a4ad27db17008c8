"""`/v1/customers`, `/v1/subscriptions`, `/v1/usage`."""

import pytest

from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import CATALOG, Api, Usage, make_context


@pytest.fixture
def api(memory_store: SqlStore) -> Api:
    return Api(make_context(memory_store))


def test_a_customer_is_created_listed_and_shown_whatever_its_id(api: Api) -> None:
    created = api.post("/v1/customers", {"id": "ü/x y", "timezone": "Asia/Tokyo"})
    assert (created.status_code, created.json()["timezone"]) == (201, "Asia/Tokyo")
    assert api.get("/v1/customers")["data"] == [created.json()]
    assert api.get("/v1/customers/%C3%BC%2Fx%20y") == created.json()
    assert api.get("/v1/customers/%C3%BC%2Fx%20y/upcoming-invoice")["total"] == "0.00"


def test_an_unknown_time_zone_names_its_field(api: Api) -> None:
    problem = api.post("/v1/customers", {"id": "a", "timezone": "Mars"}).json()
    assert problem["violations"][0]["field"] == "timezone"


def test_a_subscription_is_started_once_and_shown_with_its_period(api: Api) -> None:
    api.post("/v1/catalog/apply", {"text": CATALOG})
    body = {"id": "sub-2", "customer": "acme", "plan": "pro", "start": "2026-01-31T10:00:30Z"}
    first, again = (api.post("/v1/subscriptions", body) for _ in range(2))
    assert (first.status_code, again.json()) == (201, first.json())
    assert first.json()["current_period"] == {
        "start": "2026-01-31T10:00:00Z",
        "end": "2026-02-28T10:00:00Z",
    }
    assert api.get("/v1/subscriptions/sub-2") == first.json()
    of_acme = api.get("/v1/subscriptions", params={"customer": "acme"})["data"]
    assert [each["id"] for each in of_acme] == ["sub-1", "sub-2"]
    other = api.post("/v1/subscriptions", {**body, "plan": "max"})
    assert (other.status_code, other.json()["metadata"]["field"]) == (409, "plan")


def test_usage_is_grouped_by_the_dimensions_that_are_asked_for(api: Api) -> None:
    api.post("/v1/catalog/apply", {"text": CATALOG})
    usage = Usage(api.context)
    usage.send("5", at="2026-02-01T00:00:00Z")
    usage.send("7", at="2026-02-01T00:00:00Z", dimensions={"model": "small"})
    window = {"start": "2026-02-01T00:00:00Z", "end": "2026-02-02T00:00:00Z"}
    query = {"customer": "acme", "meter": "tokens", **window}
    assert api.get("/v1/usage", params=query)["data"] == [
        {"dimensions": {}, "quantity": "12", "event_count": 2}
    ]
    by_model = api.get("/v1/usage", params={**query, "group_by": "model"})["data"]
    assert [group["quantity"] for group in by_model] == ["5", "7"]
    small = api.get("/v1/usage", params={**query, "where": "model=small"})["data"]
    assert [group["quantity"] for group in small] == ["7"]
    wrong = api.call("GET", "/v1/usage", params={**query, "where": "small"})
    assert wrong.json()["reason"] == "FILTER_MALFORMED"


@pytest.mark.parametrize("field", ["start", "end"])
def test_a_window_that_cannot_be_read_names_its_field(api: Api, field: str) -> None:
    window = {"start": "2026-02-01T00:00:00Z", "end": "2026-02-02T00:00:00Z", field: "x"}
    answer = api.call("GET", "/v1/usage", params={"customer": "acme", "meter": "tokens", **window})
    assert (answer.status_code, answer.json()["violations"][0]["field"]) == (400, field)


@pytest.mark.parametrize("field", ["start", "anchor"])
@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:00Z"])
def test_a_year_at_the_end_of_the_calendar_is_refused_by_field(
    api: Api, field: str, text: str
) -> None:
    api.post("/v1/catalog/apply", {"text": CATALOG})
    body = {"id": "sub-2", "customer": "acme", "plan": "pro", field: text}
    answer = api.post("/v1/subscriptions", body)
    assert (answer.status_code, answer.json()["violations"][0]["field"]) == (400, field)


def test_a_customer_says_where_it_is_taxed_and_whether(api: Api) -> None:
    plain = api.post("/v1/customers", {"id": "plain"}).json()
    assert (plain["region"], plain["tax_exempt"]) == (None, "none")
    body = {"id": "acme", "country": "CA", "region": "BC", "tax_exempt": "exempt"}
    created = api.post("/v1/customers", body).json()
    assert (created["region"], created["tax_exempt"]) == ("BC", "exempt")
    assert api.get("/v1/customers/acme") == created
    wrong = api.post("/v1/customers", {"id": "x", "tax_exempt": "yes"}).json()
    assert [each["field"] for each in wrong["violations"]] == ["tax_exempt"]
