"""Changes of running subscriptions over HTTP."""

from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import CATALOG, Api, apply, make_context

ADDON = 'addons: [{key: help, prices: [{key: help, kind: recurring, amount: "28.00"}]}]\n'


def test_a_version_an_override_and_an_add_on_are_changed_and_shown(store: SqlStore) -> None:
    context = make_context(store)
    apply(context, CATALOG + ADDON)
    apply(context, CATALOG.replace('"20.00"', '"25.00"'))
    api = Api(context)
    preview = api.post("/v1/plans/pro/move-version", {"version": 2, "dry_run": True}).json()
    assert [(each["subscription"], each["before"], each["after"]) for each in preview["data"]] == [
        ("sub-1", "20.00", "25.00")
    ]
    moved = api.post("/v1/subscriptions/sub-1/move-version", {"version": 2}).json()
    assert (moved["effective"], moved["refusal"]) == ("2026-02-28T10:00:00Z", None)
    body = {"price": "base", "set": {"amount": "22.00"}, "effective": "renewal"}
    assert api.post("/v1/subscriptions/sub-1/override", body).status_code == 200
    assert api.post("/v1/subscriptions/sub-1/add-addon", {"addon": "help"}).status_code == 200
    removed = api.post("/v1/subscriptions/sub-1/remove-addon", {"addon": "help"}).json()
    assert removed["changes"]["addons"][0]["end"] == "2026-02-28T10:00:00Z"
    shown = api.get("/v1/subscriptions/sub-1")
    assert (shown["plan_version"], list(shown["changes"])) == (1, ["moves", "overrides", "addons"])
    wrong = api.post("/v1/subscriptions/sub-1/override", {**body, "set": {"amount": "-1"}})
    assert (wrong.status_code, wrong.json()["reason"]) == (400, "OVERRIDE_INVALID")
