"""Every error is a problem document with a stable reason."""

import pytest

from billing_server.edge.http.problems import field_path
from billing_server.services import list_customers
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.world import CATALOG, Api, make_context


@pytest.fixture
def api(memory_store: SqlStore) -> Api:
    return Api(make_context(memory_store))


def test_a_wrong_request_names_each_field(api: Api) -> None:
    response = api.post("/v1/customers", {"id": 5, "nmae": "x"})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["reason"], problem["instance"]) == ("REQUEST_INVALID", "/v1/customers")
    assert [violation["field"] for violation in problem["violations"]] == ["id", "nmae"]


@pytest.mark.parametrize("body", ["{", "[]", '{"id": 1.5}', ""])
def test_a_body_that_is_no_such_object_is_refused(api: Api, body: str) -> None:
    response = api.call(
        "POST", "/v1/customers", content=body, headers={"Content-Type": "application/json"}
    )
    assert (response.status_code, response.json()["reason"]) == (400, "REQUEST_INVALID")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"id": 5}, ("id", 'is not text; numbers are quoted too, such as "1200"')),
        ({"name": "Acme"}, ("id", "the field is missing")),
        ({"id": "a", "nmae": "A"}, ("nmae", "unknown field; correct its name, or leave it out")),
    ],
)
def test_a_wrong_field_is_told_with_the_remedy(
    api: Api, body: dict[str, object], told: tuple[str, str]
) -> None:
    (violation,) = api.call("POST", "/v1/customers", json=body).json()["violations"]
    assert (violation["field"], violation["description"]) == told


def test_a_body_that_is_sent_as_a_form_is_told_the_header(api: Api) -> None:
    answer = api.call(
        "POST",
        "/v1/customers",
        content='{"id": "a"}',
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    (violation,) = answer.json()["violations"]
    assert violation["description"].endswith("with the header Content-Type: application/json")


def test_a_float_in_a_catalog_is_refused_with_its_line(api: Api) -> None:
    text = CATALOG.replace('unit_price: "0.01"', "unit_price: 0.01")
    problem = api.post("/v1/catalog/apply", {"text": text, "name": "prices.yaml"}).json()
    assert problem["reason"] == "CATALOG_INVALID"
    (violation,) = problem["violations"]
    assert violation["reason"] == "FLOAT_NOT_ALLOWED"
    assert violation["description"].startswith("prices.yaml:13: plans[0].prices[1].unit_price:")


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/v1/nothing", 404, "PATH_NOT_FOUND"),
        ("DELETE", "/v1/customers", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/customers/nobody", 404, "CUSTOMER_NOT_FOUND"),
        ("GET", "/v1/invoices/INV-9", 404, "INVOICE_NOT_FOUND"),
        ("GET", "/v1/customers?limit=0", 400, "REQUEST_INVALID"),
        ("GET", "/v1/customers?cursor=%C3%BC", 400, "CURSOR_MALFORMED"),
    ],
)
def test_each_error_has_its_code_and_reason(
    api: Api, method: str, path: str, status: int, reason: str
) -> None:
    response = api.call(method, path)
    assert (response.status_code, response.json()["reason"]) == (status, reason)


def test_the_text_of_an_unforeseen_error_is_kept_out_of_the_answer(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(list_customers.PageRequest, "after", property(fail))
    response = api.call("GET", "/v1/customers")
    assert (response.status_code, response.json()["reason"]) == (500, "INTERNAL")
    assert "secret" not in response.text
    assert response.json()["metadata"]["correlation_id"] in response.json()["detail"]


def test_a_field_is_named_as_callers_write_it() -> None:
    assert field_path(("body", "prices", 0, "tiers", 2, "up_to")) == "prices[0].tiers[2].up_to"
    assert field_path(("query", "limit")) == "limit"
    assert field_path(("body",)) == ""
