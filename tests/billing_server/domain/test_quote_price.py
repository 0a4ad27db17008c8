"""Quotes of prices."""

import pytest

from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes
from billing_server.domain.quote_price import PRICES_KEPT_MAX, KnownPrices, quote_price
from metering.errors import ValidationError

TIERS = [
    {"up_to": "1000", "unit_price": "0.01"},
    {"up_to": "10000", "unit_price": "0.008"},
    {"unit_price": "0.005"},
]
GRADUATED = {"model": "graduated", "tiers": TIERS}
BY_EVENT = {"model": "percentage", "rate": "0.013", "fixed_per_event": "2", "free_amount": "250"}


KNOWN = KnownPrices()
"""One for all tests, which must not see each other's prices in it."""


def ask(**fields: object) -> dict[str, object]:
    request = node_from_plain({"currency": "USD"} | fields)
    return quote_price(FieldReader(request, path="", mistakes=Mistakes("request")), known=KNOWN)


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


def test_a_price_that_was_asked_before_is_answered_the_same_and_a_wrong_one_refused_each_time() -> (
    None
):
    for _ in range(2):
        assert ask(price=GRADUATED, quantity="15000")["amount"] == "107"
        assert ask(price=GRADUATED | {"included": "1"}, quantity="15000")["amount"] == "106.995"
        assert refused(price=GRADUATED | {"included": "-1"}, quantity="1") == (
            "price.included",
            "QUANTITY_NEGATIVE",
        )


def test_no_more_prices_are_kept_than_are_told() -> None:
    for number in range(PRICES_KEPT_MAX + 10):
        price = {"model": "flat", "amount": str(number)}
        assert ask(price=price, quantity="1")["amount"] == str(number)
        assert len(KNOWN) <= PRICES_KEPT_MAX


def test_a_price_can_be_pasted_from_a_catalog() -> None:
    place = {"key": "input", "kind": "usage", "meter": "tokens", "where": {"model": "large"}}
    price = GRADUATED | place | {"name": "Input", "group_by": ["project"], "unit_cost": "0.001"}
    assert ask(price=price, quantity="1000")["amount"] == "10"


def test_r36_cumulative_readings_add_what_is_new_of_the_rounded_amount() -> None:
    # 0.004 each: 1 → 0.00, 2 → 0.008 → 0.01, 3 → 0.012 → 0.01, and back to 1 → 0.00.
    price = {"model": "per_unit", "unit_price": "0.004"}
    result = ask(price=price, quantities=["1", "2", "3", "1"])
    assert result["deltas"] == ["0.00", "0.01", "0.00", "-0.01"]
    assert result["amount"] == "0.004"


def test_r34_a_minimum_is_made_up_for_by_the_last_reading() -> None:
    # 3 and 7 units at 1 book 3 and 4 more; the period costs 50, so the last adds 43 to its 4.
    price = {"model": "per_unit", "unit_price": "1", "minimum": "50"}
    result = ask(price=price, quantities=["3", "5", "7"])
    assert result["deltas"] == ["3.00", "2.00", "45.00"]
    assert (result["amount"], result["rounded"]) == ("50", "50.00")


def test_r34_a_maximum_caps_every_reading() -> None:
    price = {"model": "per_unit", "unit_price": "1", "maximum": "6"}
    assert ask(price=price, quantities=["3", "7", "9"])["deltas"] == ["3.00", "3.00", "0.00"]


def test_r35_a_reading_in_the_next_tier_of_a_volume_price_rates_all_anew() -> None:
    # 15 × 0.04 = 0.60 were booked; 16 × 0.03 = 0.48 in all, so 0.12 go back.
    tiers = [{"up_to": "15", "unit_price": "0.04"}, {"unit_price": "0.03"}]
    result = ask(price={"model": "volume", "tiers": tiers}, quantities=["15", "16"])
    assert result["deltas"] == ["0.60", "-0.12"]


@pytest.mark.parametrize(
    ("events", "amount"),
    [(["50", "100", "250", "400"], "11.15"), (["400", "250", "100", "50"], "15.15"), ([], "0")],
)
def test_r31_the_events_of_a_percentage_are_rated_in_their_order(
    events: list[str], amount: str
) -> None:
    assert ask(price=BY_EVENT, events=events)["amount"] == amount


def test_a_dynamic_price_takes_its_amounts_from_the_events() -> None:
    price = {"model": "dynamic", "multiplier": "1.2"}
    assert ask(price=price, events=["10.00", "250.00"])["amount"] == "312"
    assert ask(price=price | {"amount": "cost"}, events=["0.05", "0.10"])["amount"] == "0.18"


def test_events_of_a_price_that_needs_none_are_added_up() -> None:
    assert (
        ask(price={"model": "percentage", "rate": "0.01"}, events=["10", "25"])["amount"] == "0.35"
    )


def test_r33_every_modifier_is_a_step_and_the_steps_add_up() -> None:
    price = {
        "model": "per_unit",
        "unit_price": "10",
        "convert": {"divide_by": "60", "round": "up"},
        "included": "2",
        "discount": {"rate": "0.1"},
        "maximum": "40",
    }
    # 421 seconds are 8 begun minutes, 2 included: 6 × 10 = 60, less 10 % = 54, at most 40.
    result = ask(price=price, quantity="421")
    assert result["amount"] == "40"
    steps = result["steps"]
    assert isinstance(steps, list)
    assert [(step.get("kind"), step["amount"]) for step in steps] == [
        ("conversion", "0"),
        (None, "60"),
        ("discount", "-6"),
        ("maximum", "-14"),
    ]
    assert (steps[0]["from"], steps[0]["to"]) == ("421", "8")


def test_r29_blocks_of_each_meter_go_through_their_own_tiers() -> None:
    # 1500 minutes are 150 blocks of 10: 100 × 1 + 50 × 0.5 = 125. 2048 MB: 1024 × 0.5 + 1024 × 0.1.
    minutes = {
        "model": "graduated",
        "convert": {"divide_by": "10", "round": "up"},
        "tiers": [{"up_to": "100", "unit_price": "1"}, {"unit_price": "0.5"}],
    }
    traffic = {
        "model": "graduated",
        "tiers": [{"up_to": "1024", "unit_price": "0.5"}, {"unit_price": "0.1"}],
    }
    assert ask(price=minutes, quantity="1500", currency="EUR")["amount"] == "125"
    assert ask(price=traffic, quantity="2048", currency="EUR")["amount"] == "614.4"


def test_a_third_of_a_unit_is_printed_with_18_places() -> None:
    price = {"model": "per_unit", "unit_price": "1", "convert": {"divide_by": "3"}}
    result = ask(price=price, quantity="1")
    assert (result["amount"], result["rounded"]) == ("0.333333333333333333", "0.33")


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
        ({"price": GRADUATED, "quantity": "1", "events": ["1"]}, "quantity", "QUANTITY_MISSING"),
        ({"price": GRADUATED, "events": ["1"]}, "events", "EVENTS_NOT_RATED"),
        ({"price": BY_EVENT, "quantity": "1"}, "quantity", "EVENTS_MISSING"),
        ({"price": BY_EVENT, "quantities": ["1"]}, "quantities", "EVENTS_MISSING"),
        ({"price": BY_EVENT, "events": ["-1"]}, "events[0]", "QUANTITY_NEGATIVE"),
        (
            {"price": GRADUATED | {"model": "grad"}, "quantity": "1"},
            "price.model",
            "PRICE_MODEL_UNKNOWN",
        ),
        (
            {"price": GRADUATED | {"minimum": "3", "maximum": "2"}, "quantity": "1"},
            "price.minimum",
            "MINIMUM_ABOVE_MAXIMUM",
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
