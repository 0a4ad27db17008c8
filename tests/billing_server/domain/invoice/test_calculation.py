"""The arithmetic of a line as sentences."""

from typing import Any

import pytest

from billing_server.domain.invoice.calculation import (
    calculation_of,
    readable,
    readable_numbers,
    whole_of_part,
)


def line(**fields: Any) -> dict[str, Any]:
    return {
        "kind": "usage",
        "quantity": "16000.5",
        "included_quantity": "1000",
        "billable_quantity": "15000.5",
        "unit": "token",
        "group": {},
        "steps": [],
        "proration": None,
        "amount": "107.00",
        "amount_exact": "107.0025",
    } | fields


def step(**fields: str | None) -> dict[str, str | None]:
    return {
        "from": "0",
        "to": None,
        "quantity": "500",
        "unit_price": "0.01",
        "flat_price": "0",
        "amount": "5",
    } | fields


def test_a_usage_line_is_told_from_what_was_used_to_the_rounded_amount() -> None:
    tiers = [
        step(to="1000", quantity="1000", amount="10"),
        step(**{"from": "1000"}, quantity="14000.5", unit_price="0.0069", amount="97.0025"),
    ]
    assert calculation_of(line(steps=tiers), currency="USD") == (
        "used: 16,000.5 token",
        "included: 1,000, which leaves 15,000.5 to charge",
        "0 to 1,000: 1,000 × 0.01 = 10",
        "over 1,000: 14,000.5 × 0.0069 = 97.0025",
        "amount: 107.0025, rounded half up to 107.00 USD",
    )


def test_r33_what_is_included_is_told_behind_the_conversion_that_it_is_counted_in() -> None:
    conversion = step(to="8", quantity="0", unit_price="0", amount="0", kind="conversion")
    converted = {"quantity": "8000", "included_quantity": "3", "billable_quantity": "5"}
    told = calculation_of(
        line(**converted, steps=[conversion | {"from": "8000"}, step(quantity="5", amount="0.05")]),
        currency="USD",
    )
    assert told[:4] == (
        "used: 8,000 token",
        "converted: 8,000 are 8",
        "included: 3, which leaves 5 to charge",
        "5 × 0.01 = 0.05",
    )


def test_r17_a_part_of_what_is_included_is_told_before_what_it_leaves() -> None:
    scaled = step(to="1000", quantity="0", unit_price="0", amount="0", kind="included")
    told = calculation_of(
        line(steps=[scaled | {"from": "31000"}, step(quantity="15000.5", amount="150.005")]),
        currency="USD",
    )
    assert told[:4] == (
        "used: 16,000.5 token",
        "included for this part of the period: 1,000 of 31,000",
        "included: 1,000, which leaves 15,000.5 to charge",
        "15,000.5 × 0.01 = 150.005",
    )


def test_a_group_and_a_share_are_named_and_nothing_included_is_not() -> None:
    told = calculation_of(
        line(
            included_quantity="0",
            group={"project": "a"},
            proration={"numerator": 15, "denominator": 31},
            amount_exact="107",
        ),
        currency="USD",
    )
    assert told == (
        "used: 16,000.5 token of project=a",
        "share: 15/31 of the whole period",
        "amount: 107.00 USD, exact",
    )


def group_line(**fields: Any) -> dict[str, Any]:
    """Returns the line of a, 12,000 of 18,000 tokens: 1,000 are included, and 17,000 cost 136."""
    group = {"quantity": "0", "unit_price": "0", "flat_price": "-45.333333333333333333"}
    steps = [
        step(to="10000", quantity="10000", flat_price="1", amount="101"),
        step(**{"from": "10000"}, quantity="7000", unit_price="0.005", amount="35"),
        {"kind": "group", "from": "12000", "to": "18000", "amount": group["flat_price"], **group},
    ]
    return line(
        quantity="12000",
        included_quantity="666.666666666666666667",
        billable_quantity="11333.333333333333333333",
        group={"project": "a"},
        steps=steps,
        amount="90.67",
        amount_exact="90.666666666666666667",
        **fields,
    )


def test_r32_a_group_is_told_by_the_arithmetic_of_all_groups_and_what_falls_to_the_others() -> None:
    assert calculation_of(group_line(), currency="USD") == (
        "used: 12,000 token of project=a, 18,000 by all",
        "included for all: 1,000, which leaves 17,000 to charge",
        "0 to 10,000: 10,000 × 0.01 + 1 = 101",
        "over 10,000: 7,000 × 0.005 = 35",
        # 136 × 6,000/18,000.
        "less the part of the others, 6,000 of 18,000: −45.333333333333333333",
        "amount: 90.666666666666666667, rounded half up to 90.67 USD",
    )


def test_a_line_is_told_with_its_own_quantities_where_those_of_all_are_not_on_it() -> None:
    older = group_line()
    older["steps"][2] |= {"from": "0", "to": None}
    assert whole_of_part(older) is None
    told = calculation_of(older, currency="USD")
    assert told[0] == "used: 12,000 token of project=a"
    assert told[4] == "only its part of the amount for all: −45.333333333333333333"
    # What came late is a difference of one group.
    assert whole_of_part(group_line() | {"kind": "late_usage"}) is None
    assert whole_of_part(line()) is None


def test_a_group_whose_quantity_is_converted_is_told_from_what_all_used() -> None:
    conversion = step(to="18", quantity="0", unit_price="0", amount="0", kind="conversion")
    converted = group_line()
    converted["steps"].insert(0, conversion | {"from": "18000"})
    whole = whole_of_part(converted | {"included_quantity": "0", "billable_quantity": "12"})
    assert whole is not None
    assert (whole["used_by_all"], whole["billable_quantity"]) == ("18000", "18")


def test_a_fee_is_told_by_its_quantity_where_it_is_not_one() -> None:
    fee = {"kind": "recurring", "amount": "30.00", "amount_exact": "30"}
    assert calculation_of(line(quantity="1", **fee), currency="USD") == (
        "amount: 30.00 USD, exact",
    )
    seats = line(quantity="3", unit="", **fee)
    assert calculation_of(seats, currency="USD")[0] == "3 × 10 = 30"
    short = seats | {"proration": {"numerator": 1, "denominator": 2}}
    assert calculation_of(short, currency="USD")[0] == "3 × 20 = 60"
    third = {"proration": {"numerator": 1, "denominator": 3}}
    once = line(quantity="1", unit="", **fee) | third | {"amount_exact": "3.333333333333333333"}
    assert calculation_of(once, currency="USD")[0] == "1 × 10 = 10"
    # No amount has this for its third: the fee is not guessed.
    odd = once | {"quantity": "3", "amount_exact": "3.333333333333333334"}
    assert calculation_of(odd, currency="USD")[0] == "3"


def test_numbers_in_a_sentence_are_set_apart_and_names_are_not() -> None:
    assert readable_numbers("over 1000: 14000.5 × -0.0069 = 97002.5 of gpt-4000") == (
        "over 1,000: 14,000.5 × −0.0069 = 97,002.5 of gpt-4000"
    )


@pytest.mark.parametrize(
    ("number", "shown"),
    [("0", "0"), ("999", "999"), ("1000", "1,000"), ("-1234567.125", "−1,234,567.125")],
)
def test_thousands_are_set_apart(number: str, shown: str) -> None:
    assert readable(number) == shown
