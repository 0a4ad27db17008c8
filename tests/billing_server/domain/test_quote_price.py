"""Quotes of prices."""

import pytest

from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes
from billing_server.domain.quote_price import quote_price
from metering.errors import ValidationError

TIERS = [
    {"up_to": "1000", "unit_price": "0.01"},
    {"up_to": "10000", "unit_price": "0.008"},
    {"unit_price": "0.005"},
]
GRADUATED = {"model": "graduated", "tiers": TIERS}


def ask(**fields: object) -> dict[str, object]:
    request = node_from_plain({"currency": "USD"} | fields)
    return quote_price(FieldReader(request, path="", mistakes=Mistakes("request")))


def refused(**fields: object) -> tuple[str, str]:
    with pytest.raises(ValidationError) as caught:
        ask(**fields)
    assert caught.value.reason == "QUOTE_INVALID"
    return caught.value.violations[0].field, caught.value.violations[0].reason


def test_r24_a_quote_explains_each_tier() -> None:
    def step(low: str, high: str | None, *rest: str) -> dict[str, object]:
        quantity, unit_price, amount = rest
        return {
            "from": low,
            "to": high,
            "quantity": quantity,
            "unit_price": unit_price,
            "flat_price": "0",
            "amount": amount,
        }

    assert ask(price=GRADUATED, quantity="15000") == {
        "amount": "107",
        "rounded": "107.00",
        "currency": "USD",
        "steps": [
            step("0", "1000", "1000", "0.01", "10"),
            step("1000", "10000", "9000", "0.008", "72"),
            step("10000", None, "5000", "0.005", "25"),
        ],
    }


@pytest.mark.parametrize(
    ("price", "currency", "quantity", "amount", "rounded"),
    [
        ({"model": "per_unit", "unit_price": "0.0000025"}, "USD", "1234567", "3.0864175", "3.09"),
        ({"model": "per_unit", "unit_price": "2.665"}, "USD", "1", "2.665", "2.67"),
        ({"model": "per_unit", "unit_price": "1000.5"}, "JPY", 1, "1000.5", "1001"),
        ({"model": "per_unit", "unit_price": "1"}, "KWD", "0.0005", "0.0005", "0.001"),
        ({"model": "per_unit", "unit_price": "100"}, "USD", "1", "100", "100.00"),
        ({"model": "per_unit", "unit_price": "0.1", "included": "5"}, "USD", "7", "0.2", "0.20"),
        ({"model": "per_unit", "unit_price": "0.1", "free_units": "5"}, "USD", "5", "0", "0.00"),
        (GRADUATED, "USD", "1000.5", "10.004", "10.00"),
        (GRADUATED, "USD", "0", "0", "0.00"),
    ],
)
def test_amounts_are_exact_and_rounded_to_the_minor_unit(
    price: object, currency: str, quantity: object, amount: str, rounded: str
) -> None:
    result = ask(price=price, currency=currency, quantity=quantity)
    assert (result["amount"], result["rounded"]) == (amount, rounded)


def test_r36_cumulative_readings_add_what_is_new_of_the_rounded_amount() -> None:
    # 0.004 each: 1 → 0.00, 2 → 0.008 → 0.01, 3 → 0.012 → 0.01, and back to 1 → 0.00.
    price = {"model": "per_unit", "unit_price": "0.004"}
    result = ask(price=price, quantities=["1", "2", "3", "1"])
    assert result["deltas"] == ["0.00", "0.01", "0.00", "-0.01"]
    assert result["amount"] == "0.004"


def test_r36_readings_charge_only_what_was_not_charged_before() -> None:
    # 5 units at 10, then 8: 3 more are charged.
    price = {"model": "per_unit", "unit_price": "10"}
    assert ask(price=price, quantities=["5", "8"])["deltas"] == ["50.00", "30.00"]


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"price": GRADUATED}, "quantity", "QUANTITY_MISSING"),
        (
            {"price": GRADUATED, "quantity": "1", "quantities": ["1"]},
            "quantity",
            "QUANTITY_MISSING",
        ),
        ({"price": GRADUATED, "quantities": []}, "quantities", "QUANTITY_MISSING"),
        ({"price": GRADUATED, "quantities": ["x"]}, "quantities[0]", "QUANTITY_MALFORMED"),
        ({"price": GRADUATED, "quantity": 1.5}, "quantity", "FLOAT_NOT_ALLOWED"),
        ({"price": GRADUATED, "quantity": "-1"}, "quantity", "QUANTITY_NEGATIVE"),
        ({"price": GRADUATED, "quantity": "1", "currency": "XXQ"}, "currency", "CURRENCY_UNKNOWN"),
        ({"price": GRADUATED, "quantity": "1", "foo": "1"}, "foo", "FIELD_UNKNOWN"),
        ({"price": GRADUATED, "quantity": "1", "events": ["1"]}, "events", "NOT_SUPPORTED_YET"),
        (
            {"price": {"model": "volume", "tiers": TIERS}, "quantity": "1"},
            "price.model",
            "NOT_SUPPORTED_YET",
        ),
        (
            {"price": GRADUATED | {"minimum": "1"}, "quantity": "1"},
            "price.minimum",
            "NOT_SUPPORTED_YET",
        ),
        (
            {"price": GRADUATED | {"unit_price": "1"}, "quantity": "1"},
            "price.unit_price",
            "FIELD_UNKNOWN",
        ),
        ({"quantity": "1"}, "price", "FIELD_MISSING"),
    ],
)
def test_a_wrong_request_is_refused_by_its_field(
    fields: dict[str, object], field: str, reason: str
) -> None:
    assert refused(**fields) == (field, reason)
