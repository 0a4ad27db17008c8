"""Rating steps in words."""

import pytest

from billing_server.domain.quote import quote
from billing_server.domain.rating.price_model import StepKind
from billing_server.domain.rating.step_text import converted_quantity, step_text


def texts(price: dict[str, object], **usage: object) -> list[str]:
    steps = quote({"currency": "USD", "price": price} | usage)["steps"]
    assert isinstance(steps, list)
    return [step_text(step) for step in steps]


def test_tiers_say_their_span_their_price_and_their_flat() -> None:
    tiers = [{"up_to": "100", "flat_price": "10"}, {"unit_price": "0.05", "flat_price": "5"}]
    assert texts({"model": "graduated", "tiers": tiers}, quantity="300") == [
        "0 to 100: flat 10 = 10",
        "over 100: 200 × 0.05 + 5 = 15",
    ]


def test_what_is_included_in_a_part_of_a_period_is_told_beside_a_whole_one() -> None:
    step = {"kind": "included", "from": "1000000", "to": "516129", "amount": "0"}
    assert step_text(step) == "included for this part of the period: 516129 of 1000000"


def test_every_modifier_says_what_it_did() -> None:
    price = {
        "model": "package",
        "package_size": "4",
        "package_price": "20",
        "convert": {"divide_by": "60", "round": "up"},
        "discount": {"rate": "0.1"},
        "maximum": "30",
    }
    assert texts(price, quantity="421") == [
        "converted: 421 are 8",
        "packages, up to 8: 2 × 20 = 40",
        "discount: 40 × -0.1 = -4",
        "lowered to the maximum: -6",
    ]
    price = {"model": "per_unit", "unit_price": "1", "discount": {"amount": "2"}, "minimum": "9"}
    assert texts(price, quantity="5") == [
        "5 × 1 = 5",
        "discount: -2",
        "raised to the minimum: 6",
    ]


def test_events_say_what_was_free_and_which_fees_were_paid() -> None:
    price = {
        "model": "percentage",
        "rate": "0.01",
        "fixed_per_event": "0.10",
        "free_events": "1",
        "minimum_per_event": "0.5",
        "maximum_per_event": "2",
    }
    assert texts(price, events=["7", "10", "1000"]) == [
        "free: 7",
        "over 7: 1010 × 0.01 = 10.1",
        "fees of events: 2 × 0.1 = 0.2",
        "events raised to the least that one costs: 0.3",
        "events lowered to the most that one costs: -8.1",
    ]


@pytest.mark.parametrize("kind", StepKind)
def test_every_kind_has_words(kind: StepKind) -> None:
    step = {"kind": kind, "from": "0", "to": "7", "quantity": "3", "unit_price": "2"}
    assert "7" in step_text(step | {"flat_price": "1", "amount": "7"}) or kind is StepKind.FREE


def test_the_converted_quantity_is_that_of_the_first_step() -> None:
    assert converted_quantity([{"kind": "conversion", "from": "421", "to": "8"}]) == "8"
    assert converted_quantity([{"from": "0", "to": "8"}]) is None
