"""The flat price model, with R27."""

from decimal import Decimal

from billing_server.domain.rating.flat import Flat
from tests.billing_server.domain.rating.reading import quantity_model, refusals_of


def test_any_usage_costs_the_same() -> None:
    model = quantity_model(model="flat", amount="25.00")
    assert [model.rate(Decimal(used)) for used in ("1", "0.5", "90000")] == [25, 25, 25]
    assert model.to_fields() == {"amount": "25"}


def test_r27_no_usage_costs_nothing_and_the_amount_only_where_it_is_asked_for() -> None:
    model = Flat(Decimal(25))
    assert model.rate(Decimal(0)) == 0
    assert model.explain(Decimal(0)) == ()
    assert model.flat_at_zero == 25


def test_the_step_charges_the_flat_price_and_nothing_a_unit() -> None:
    (step,) = Flat(Decimal(25)).explain(Decimal(7))
    assert (step.quantity, step.unit_price, step.flat_price, step.amount) == (7, 0, 25, 25)


def test_the_amount_is_needed_and_no_float() -> None:
    assert refusals_of(model="flat") == [("amount", "FIELD_MISSING")]
    assert refusals_of(model="flat", amount=2.5) == [("amount", "FLOAT_NOT_ALLOWED")]
