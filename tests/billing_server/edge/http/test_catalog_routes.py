"""`/v1/meters`, `/v1/plans`, `/v1/addons`, `/v1/catalog/apply`."""

import pytest

from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import CATALOG, TAXED, Api, make_context


@pytest.fixture
def api(memory_store: SqlStore) -> Api:
    return Api(make_context(memory_store))


def test_meters_and_plans_are_shown_in_the_form_of_the_catalog(api: Api) -> None:
    api.post("/v1/catalog/apply", {"text": CATALOG})
    api.post("/v1/catalog/apply", {"text": CATALOG.replace('"20.00"', '"30"')})
    assert [meter["key"] for meter in api.get("/v1/meters")["data"]] == ["tokens"]
    assert api.get("/v1/meters/tokens")["aggregation"] == "sum"
    (plan,) = api.get("/v1/plans")["data"]
    assert (plan["version"], plan["prices"][0]["amount"]) == (2, "30")
    first = api.get("/v1/plans/pro", params={"version": 1})
    assert (first["prices"][0]["amount"], first["prices"][1]["included"]) == ("20", "1000")


def test_a_dry_run_changes_nothing(api: Api) -> None:
    files = [{"name": "all.yaml", "text": CATALOG}]
    answer = api.post("/v1/catalog/apply", {"files": files, "dry_run": True}).json()
    assert (answer["dry_run"], len(answer["changes"])) == (True, 4)
    assert api.get("/v1/meters")["data"] == []


def test_a_catalog_without_text_is_refused(api: Api) -> None:
    response = api.post("/v1/catalog/apply", {})
    assert (response.status_code, response.json()["reason"]) == (400, "CATALOG_MISSING")


def test_add_ons_are_shown_in_the_form_of_the_catalog(api: Api) -> None:
    addon = 'addons: [{key: help, prices: [{key: help, kind: recurring, amount: "2"}]}]'
    api.post("/v1/catalog/apply", {"text": addon})
    api.post("/v1/catalog/apply", {"text": addon.replace('"2"', '"3"')})
    (shown,) = api.get("/v1/addons")["data"]
    assert (shown["version"], shown["prices"][0]["amount"]) == (2, "3")
    assert api.get("/v1/addons/help") == shown
    assert api.get("/v1/addons/help", params={"version": 1})["prices"][0]["amount"] == "2"


def test_tax_rates_are_shown_and_exported_in_the_form_of_the_catalog(api: Api) -> None:
    api.post("/v1/catalog/apply", {"text": TAXED})
    rate = {
        "key": "de-vat",
        "name": "VAT",
        "rate": "0.19",
        "country": "DE",
        "region": None,
        "category": None,
        "from": None,
        "until": None,
    }
    assert api.get("/v1/tax-rates")["data"] == [rate]
    assert api.get("/v1/tax-rates/de-vat") == rate
    assert api.get("/v1/catalog/export")["tax_rates"] == [rate]
    assert api.call("GET", "/v1/tax-rates/none").json()["reason"] == "TAX_RATE_NOT_FOUND"


def test_a_wrong_rate_names_file_line_and_field(api: Api) -> None:
    wrong = TAXED.replace('"0.19"', '"19"')
    problem = api.post("/v1/catalog/apply", {"text": wrong, "name": "tax.yaml"}).json()
    (violation,) = problem["violations"]
    assert (violation["field"], violation["reason"]) == ("tax_rates[0].rate", "TAX_RATE_ABOVE_ONE")
    assert violation["description"].startswith("tax.yaml:19: tax_rates[0].rate: 19 is more than")
