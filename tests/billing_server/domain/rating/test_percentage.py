"""The percentage price model: by the total without terms of the single event, else by event."""

from decimal import Decimal
from itertools import permutations

import pytest

from billing_server.domain.rating.percentage import Percentage, PercentageByEvent
from billing_server.domain.rating.price_model import EventUsage
from tests.billing_server.domain.rating.reading import (
    event_model,
    quantity_model,
    read_model,
    refusals_of,
    transactions,
)

TERMS: list[tuple[str, str]] = [
    ("fixed_per_event", "0.1"),
    ("free_events", "3"),
    ("minimum_per_event", "0.5"),
    ("maximum_per_event", "2"),
]


def test_r31_a_rate_alone_is_rated_by_the_sum() -> None:
    model = quantity_model(model="percentage", rate="0.012")
    assert model == Percentage(Decimal("0.012"))
    assert model.rate(Decimal(450)) == Decimal("5.4")
    assert [step.amount for step in model.explain(Decimal(450))] == [Decimal("5.4")]


@pytest.mark.parametrize(("term", "value"), TERMS)
def test_r31_any_term_of_the_single_event_makes_it_rated_by_event(term: str, value: str) -> None:
    model, refusals = read_model({"model": "percentage", "rate": "0.01", term: value})
    assert refusals == []
    assert isinstance(model, PercentageByEvent)
    assert model.to_fields() == {"rate": "0.01", term: value}


def test_r31_a_free_amount_needs_no_events_either() -> None:
    model = quantity_model(model="percentage", rate="0.01", free_amount="250.00")
    assert model == Percentage(Decimal("0.01"), Decimal(250))
    # The first 250 are free, however they came: 100 × 1 %.
    assert [model.rate(Decimal(used)) for used in (0, 250, 350)] == [0, 0, 1]
    assert [(str(step.kind), step.quantity) for step in model.explain(Decimal(350))] == [
        ("free", 250),
        ("tier", 100),
    ]
    assert model.to_fields() == {"rate": "0.01", "free_amount": "250"}


def test_nothing_free_is_no_term() -> None:
    fields: dict[str, object] = {"rate": "0.01", "free_events": "0", "free_amount": "0"}
    assert quantity_model(model="percentage", **fields) == Percentage(Decimal("0.01"))
    # Beside another term it does not use that one up: the first 250 stay free.
    model = quantity_model(model="percentage", rate="0.01", free_events="0", free_amount="250")
    assert model.rate(Decimal(350)) == 1


@pytest.mark.parametrize(
    ("amounts", "price"),
    [
        # 550 × 1.3 % = 7.15; 50 and 100 are free, 250 in part, 400 not: two fees of 2.
        (("50", "100", "250", "400"), "11.15"),
        # 400 is free in part, so that all four pay the fee.
        (("400", "250", "100", "50"), "15.15"),
    ],
)
def test_the_order_of_the_events_decides_which_are_free(
    amounts: tuple[str, ...], price: str
) -> None:
    model = event_model(model="percentage", rate="0.013", fixed_per_event="2", free_amount="250")
    assert model.rate_events(transactions(*amounts)) == Decimal(price)


def test_an_event_that_is_free_to_the_cent_pays_no_fee() -> None:
    model = event_model(model="percentage", rate="0.01", fixed_per_event="1", free_amount="250")
    assert model.rate_events(transactions("250")) == 0
    assert model.rate_events(transactions("250", "0")) == 1
    assert model.rate_events(transactions("250.01")) == Decimal("1.0001")


@pytest.mark.parametrize(
    ("amounts", "price"),
    [
        (("200", "100", "100"), "0"),
        # The three free events are used up, and with them what is left of the free 500.
        (("200", "100", "100", "50"), "0.7"),
        # The free 500 are used up by the second: 100 × 1.2 % + 0.10.
        (("200", "400"), "1.3"),
    ],
)
def test_with_both_terms_events_are_free_until_one_is_used_up(
    amounts: tuple[str, ...], price: str
) -> None:
    model = event_model(
        model="percentage", rate="0.012", fixed_per_event="0.1", free_events="3", free_amount="500"
    )
    assert model.rate_events(transactions(*amounts)) == Decimal(price)


@pytest.mark.parametrize(
    ("amounts", "price"),
    [
        (("10",), "0.5"),  # 0.10 + 0.10 = 0.20, raised to 0.50
        (("100",), "1.1"),  # 1.00 + 0.10
        (("1000",), "2"),  # 10.10, lowered to 2
        (("10", "100", "1000"), "3.6"),
    ],
)
def test_r31_each_event_costs_at_least_the_minimum_and_at_most_the_maximum(
    amounts: tuple[str, ...], price: str
) -> None:
    model = event_model(
        model="percentage",
        rate="0.01",
        fixed_per_event="0.1",
        minimum_per_event="0.5",
        maximum_per_event="2",
    )
    assert model.rate_events(transactions(*amounts)) == Decimal(price)


def test_r31_the_minimum_of_an_event_is_not_charged_for_a_free_one() -> None:
    model = event_model(model="percentage", rate="0.01", free_events="1", minimum_per_event="0.5")
    assert model.rate_events(transactions("10")) == 0
    assert model.rate_events(transactions("10", "10")) == Decimal("0.5")


def test_the_steps_are_few_and_add_up_in_any_order() -> None:
    model = event_model(
        model="percentage",
        rate="0.013",
        fixed_per_event="2",
        free_amount="250",
        minimum_per_event="3",
        maximum_per_event="5",
    )
    for amounts in permutations(("50", "100", "250", "400")):
        steps = model.explain_events(transactions(*amounts))
        assert sum(step.amount for step in steps) == model.rate_events(transactions(*amounts))
    assert [(str(step.kind), step.amount) for step in steps] == [
        ("free", 0),
        ("tier", Decimal("7.15")),
        ("event_fee", 8),
        ("event_minimum", Decimal("0.35")),
        ("event_maximum", Decimal("-0.25")),
    ]


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({}, "rate", "FIELD_MISSING"),
        ({"rate": "1.2"}, "rate", "RATE_ABOVE_ONE"),
        ({"rate": 0.012}, "rate", "FLOAT_NOT_ALLOWED"),
        ({"rate": "0.01", "free_events": "1.5"}, "free_events", "INTEGER_MALFORMED"),
        ({"rate": "0.01", "free_amount": "-1"}, "free_amount", "QUANTITY_NEGATIVE"),
        (
            {"rate": "0.01", "minimum_per_event": "3", "maximum_per_event": "2"},
            "minimum_per_event",
            "MINIMUM_ABOVE_MAXIMUM",
        ),
    ],
)
def test_a_wrong_percentage_is_refused_by_its_field(
    fields: dict[str, object], field: str, reason: str
) -> None:
    assert refusals_of(model="percentage", **fields) == [(field, reason)]


def test_r31_an_adjustment_is_no_transaction_and_pays_no_fee() -> None:
    """1 % and 2 an event, the first one free: 100 is free, 400 costs 6."""
    model = event_model(model="percentage", rate="0.01", fixed_per_event="2", free_events="1")
    added, taken = (EventUsage(Decimal(value), is_event=False) for value in ("50", "-100"))
    first, second = transactions("100", "400")
    assert model.rate_events([first, second]) == 6
    # 50 more at 1 %, without a fee, and 100 less; before the first event both are free.
    assert model.rate_events([first, second, added, taken]) == Decimal("5.5")
    assert model.rate_events([added, first, second]) == 6
    # What is left below zero charges nothing; the second event's own fee stays.
    below = [first, second, *[taken] * 5]
    assert model.rate_events(below) == sum(step.amount for step in model.explain_events(below)) == 2


def test_r18_an_adjustment_below_an_event_that_was_lowered_charges_nothing_and_never_less() -> None:
    """1 %, 0.10 an event and at most 2: 1,000 costs 2; 950 of it taken back would make -7.50."""
    model = event_model(
        model="percentage", rate="0.01", fixed_per_event="0.10", maximum_per_event="2"
    )
    (paid,) = transactions("1000")
    some, most = (EventUsage(Decimal(value), is_event=False) for value in ("-50", "-950"))
    assert model.rate_events([paid, some]) == Decimal("1.5")
    assert model.rate_events([paid, most]) == 0
    assert [step.amount for step in model.explain_events([paid, most])] == [
        Decimal("0.5"),
        Decimal("0.1"),
        Decimal("-0.6"),
    ]
