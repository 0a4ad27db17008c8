"""The dynamic price model: the event brings its price."""

from decimal import Decimal

from billing_server.domain.rating.price_model import EventUsage
from tests.billing_server.domain.rating.reading import event_model, refusals_of, transactions

CALLS = [EventUsage(Decimal(100), Decimal("0.05")), EventUsage(Decimal(200), Decimal("0.10"))]


def test_what_the_events_brought_is_multiplied() -> None:
    # (0.05 + 0.10) × 1.2 = 0.18
    model = event_model(model="dynamic", amount="provider_cost", multiplier="1.2")
    assert model.amount_quantity == "provider_cost"
    assert model.rate_events(CALLS) == Decimal("0.18")
    (step,) = model.explain_events(CALLS)
    assert (step.quantity, step.unit_price, step.amount) == (
        Decimal("0.15"),
        Decimal("1.2"),
        Decimal("0.18"),
    )


def test_without_a_name_the_meter_itself_is_the_money_and_without_a_multiplier_it_is_charged() -> (
    None
):
    model = event_model(model="dynamic")
    assert model.amount_quantity is None
    assert model.rate_events(transactions("10.00", "250.00")) == 260
    assert model.to_fields() == {"multiplier": "1"}


def test_no_events_cost_nothing() -> None:
    model = event_model(model="dynamic", amount="cost")
    assert (model.rate_events([]), model.explain_events([])) == (0, ())


def test_a_negative_multiplier_is_refused() -> None:
    assert refusals_of(model="dynamic", multiplier="-1") == [("multiplier", "PRICE_NEGATIVE")]


def test_r18_adjustments_below_zero_charge_nothing() -> None:
    model = event_model(model="dynamic")
    (brought,) = transactions("10")
    events = [brought, EventUsage(Decimal(-30), is_event=False)]
    assert (model.rate_events(events), model.explain_events(events)) == (0, ())
