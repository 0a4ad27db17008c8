"""`/v1/alerts`."""

from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import CATALOG, Api, Usage, apply, make_context


def test_usage_without_a_price_is_listed_with_its_meter_and_dimensions(
    memory_store: SqlStore,
) -> None:
    api = Api(make_context(memory_store))
    apply(api.context, CATALOG)
    Usage(api.context).send("5", at="2026-02-01T10:30:20Z", dimensions={"model": "new"})
    answer = api.get("/v1/alerts", params={"customer": "acme", "state": "open"})
    assert answer == {
        "data": [
            {
                "id": 1,
                "kind": "unpriced_usage",
                "state": "open",
                "customer": "acme",
                "meter": "tokens",
                "dimensions": {"model": "new"},
                "usage_time": "2026-02-01T10:30:00Z",
                "close_time": None,
            }
        ],
        "next_cursor": None,
    }
    assert api.get("/v1/alerts", params={"state": "closed"})["data"] == []
    assert api.call("GET", "/v1/alerts", params={"state": "gone"}).status_code == 400
