"""Documents of quotes: one result a request, in order, bad ones in their place."""

import json

import pytest

from billing_server.domain.document import node_from_plain
from billing_server.domain.quote import quote, quote_document, quote_node
from metering.errors import ValidationError

PRICE: dict[str, object] = {
    "currency": "USD",
    "price": {"model": "per_unit", "unit_price": "0.10"},
    "quantity": "3",
}
PERIOD: dict[str, object] = {"period": {"start": "2026-01-01T00:00:00Z", "count": 1}}
PRORATION: dict[str, object] = {
    "proration": {
        "period": {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"},
        "from": "2026-01-01T00:00:00Z",
        "to": "2026-01-16T00:00:00Z",
        "unit": "day",
        "amount": "100",
        "currency": "EUR",
    }
}
BAD = {"currency": "USD", "price": {"model": "per_unit"}, "quantity": "3"}


def test_the_kind_of_a_request_is_its_field() -> None:
    assert quote(PRICE)["amount"] == "0.3"
    assert "periods" in quote(PERIOD)
    assert quote(PRORATION) == {"fraction": "15/31", "amount": "48.39"}
    assert quote_node(node_from_plain(PRICE)) == quote(PRICE)


@pytest.mark.parametrize("request_fields", [{}, {"quantity": "1"}, PRICE | PERIOD])
def test_a_request_of_no_kind_or_of_two_is_refused(request_fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        quote(request_fields)
    assert caught.value.violations[0].reason == "QUOTE_KIND_UNKNOWN"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([PRICE, BAD, PERIOD]),
        json.dumps([PRICE, BAD, PERIOD], indent=2),
        "\n".join(json.dumps(item) for item in (PRICE, BAD, PERIOD)),
        "\n\n".join(json.dumps(item) for item in (PRICE, BAD, PERIOD)) + "\n",
        "\n".join(f"- {json.dumps(item)}" for item in (PRICE, BAD, PERIOD)),
    ],
    ids=["list", "indented", "lines", "blank lines", "yaml"],
)
def test_results_stand_in_the_order_of_their_requests(text: str) -> None:
    report = quote_document(text)
    first, second, third = report.results
    assert first["rounded"] == "0.30"
    assert second["error"]["field"] == "price.unit_price"  # type: ignore[index]
    assert "periods" in third
    assert (report.is_ok, report.error_count) == (False, 1)


def test_one_request_may_be_json_or_yaml() -> None:
    yaml_text = "currency: USD\nprice:\n  model: per_unit\n  unit_price: '0.10'\nquantity: 3\n"
    for text in (json.dumps(PRICE), json.dumps(PRICE, indent=1), yaml_text):
        report = quote_document(text)
        assert report.is_ok
        assert [result["amount"] for result in report.results] == ["0.3"]


def test_yaml_in_braces_is_read_too() -> None:
    text = "{currency: USD, price: {model: per_unit, unit_price: '2'}, quantity: 3}"
    assert quote_document(text).results[0]["amount"] == "6"


def test_an_error_names_reason_message_field_and_line() -> None:
    text = "currency: USD\nprice: {model: per_unit, unit_price: 0.1}\nquantity: 3\n"
    report = quote_document(text, name="q.yaml")
    assert report.results == (
        {
            "error": {
                "reason": "FLOAT_NOT_ALLOWED",
                "message": "q.yaml:2: price.unit_price: 0.1 would be read as a float and lose "
                'digits; quote it: "0.1"',
                "field": "price.unit_price",
            }
        },
    )


def test_a_json_float_is_refused_by_its_field() -> None:
    text = json.dumps(PRICE).replace('"3"', "3.5")
    error = quote_document(text).results[0]["error"]
    assert error["reason"] == "FLOAT_NOT_ALLOWED"  # type: ignore[index]
    assert error["field"] == "quantity"  # type: ignore[index]


def test_a_broken_line_spoils_no_other() -> None:
    text = "\n".join([json.dumps(PRICE), '{"currency": ', json.dumps(PRICE), "nonsense"])
    report = quote_document(text)
    assert [("error" in result) for result in report.results] == [False, True, False, True]
    message = report.results[1]["error"]["message"]  # type: ignore[index]
    assert message.startswith("request:2: ")


@pytest.mark.parametrize("text", ["", "nonsense", "[1, 2", "7", '"text"'])
def test_what_is_no_request_is_an_error(text: str) -> None:
    report = quote_document(text)
    assert not report.is_ok
    assert len(report.results) == 1


def test_an_empty_list_has_no_results() -> None:
    report = quote_document("[]")
    assert (report.results, report.is_ok) == ((), True)


def test_a_product_of_54_digits_is_exact() -> None:
    # (10^18 − 10^−18) × (10^9 − 10^−9) = 10^27 − 10^9 − 10^−9 + 10^−27
    price = {"model": "per_unit", "unit_price": "999999999999999999.999999999999999999"}
    report = quote_document(
        json.dumps({"currency": "USD", "price": price, "quantity": "999999999.999999999"})
    )
    assert report.results[0]["amount"] == (
        "999999999999999998999999999.999999999000000000000000001"
    )


def test_a_result_of_more_digits_than_a_decimal_keeps_is_exact_as_well() -> None:
    # A billionth of a unit at 18 places and 10^18 units at 18 digits need 63 digits together.
    most = "999999999999999999.999999999999999999"
    price = {
        "model": "graduated",
        "tiers": [{"up_to": "0.000000001", "unit_price": most}, {"unit_price": most[:-1] + "8"}],
    }
    report = quote_document(
        json.dumps({"currency": "USD", "price": price, "quantity": "999999999999999999"})
    )
    # (10^18 − 1) × (10^18 − 2 × 10^-18) + 10^-9 × 10^-18
    assert report.results[0]["amount"] == (
        "999999999999999998999999999999999998.000000000000000002000000001"
    )


def test_every_result_is_json() -> None:
    report = quote_document(json.dumps([PRICE, BAD, PERIOD, PRORATION]))
    assert json.loads(json.dumps(report.results)) == list(report.results)
