"""What holds for every model of the table."""

from decimal import Decimal
from fractions import Fraction

import pytest

from billing_server.domain.rating.models import PRICE_MODELS
from billing_server.domain.rating.price_model import (
    EventModel,
    QuantityModel,
    RatingStep,
    StepKind,
    is_rated_by_event,
)
from tests.billing_server.domain.rating.reading import read_model, transactions

TIERS = [{"up_to": "5", "unit_price": "0.2", "flat_price": "1"}, {"unit_price": "0.1"}]
RATES = [{"up_to": "5", "rate": "0.2", "flat_price": "1"}, {"rate": "0.1"}]
EXAMPLES: dict[str, list[dict[str, object]]] = {
    "flat": [{"amount": "3"}],
    "per_unit": [{"unit_price": "0.3"}],
    "package": [{"package_size": "4", "package_price": "0.7"}],
    "graduated": [{"tiers": TIERS}],
    "volume": [{"tiers": TIERS}],
    "stairstep": [{"tiers": [{"up_to": "5", "flat_price": "1"}, {"flat_price": "2"}]}],
    "percentage": [
        {"rate": "0.012"},
        {"rate": "0.012", "free_amount": "5"},
        {"rate": "0.012", "fixed_per_event": "0.1"},
    ],
    "graduated_percentage": [{"tiers": RATES}],
    "dynamic": [{"amount": "cost", "multiplier": "1.2"}, {}],
}
MODELS = [
    read_model({"model": name} | fields)[0] for name, each in EXAMPLES.items() for fields in each
]
QUANTITIES = [
    *(Decimal(text) for text in ("0", "0.000000001", "5", "5.5", "1000000")),
    Fraction(16, 3),
]


def test_every_model_has_an_example_here() -> None:
    assert set(EXAMPLES) == set(PRICE_MODELS)
    assert None not in MODELS


@pytest.mark.parametrize(
    "model", [model for model in MODELS if not isinstance(model, EventModel)], ids=lambda m: m.name
)
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_the_steps_of_every_model_add_up_to_its_amount(
    model: QuantityModel, quantity: Decimal | Fraction
) -> None:
    steps = model.explain(quantity)
    assert sum(Fraction(step.amount) for step in steps) == model.rate(quantity)
    if StepKind.PACKAGE not in {step.kind for step in steps}:
        assert sum(Fraction(step.quantity) for step in steps) == quantity


@pytest.mark.parametrize(
    "model", [model for model in MODELS if isinstance(model, EventModel)], ids=lambda m: m.name
)
def test_the_steps_of_every_model_by_event_add_up(model: EventModel) -> None:
    events = transactions("3", "0", "5.25")
    steps = model.explain_events(events)
    assert sum(step.amount for step in steps) == model.rate_events(events)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_model_is_read_from_what_it_writes(model: QuantityModel | EventModel) -> None:
    assert read_model({"model": model.name} | dict(model.to_fields())) == (model, [])


def test_only_models_that_look_at_single_events_are_rated_by_event() -> None:
    found = [(model.name, is_rated_by_event(model)) for model in MODELS if model is not None]
    assert [name for name, by_event in found if by_event] == ["percentage", "dynamic", "dynamic"]


def test_a_lump_is_an_amount_without_a_quantity() -> None:
    step = RatingStep.lump(StepKind.MINIMUM, Decimal(7))
    assert (step.quantity, step.unit_price, step.flat_price, step.amount) == (0, 0, 7, 7)
