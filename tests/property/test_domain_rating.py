"""Whatever the price and its usage: parts make the whole, and order never matters."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.catalog.model import Meter
from billing_server.domain.catalog.write_price import usage_price_to_dict
from billing_server.domain.rating.graduated import Graduated
from billing_server.domain.rating.percentage import PercentageByEvent
from billing_server.domain.rating.price_model import (
    EventModel,
    EventUsage,
    QuantityModel,
    StepKind,
)
from billing_server.domain.rating.usage import usage_terms
from billing_server.domain.rating.volume import Volume
from metering.money import round_to_minor
from metering.quantity import unscale_quantity
from tests.property.priced import (
    amounts,
    any_meters,
    event_models,
    graduated_prices,
    modified,
    percentages_by_event,
    quantities,
    quantity_models,
    read_back,
    shares,
    summing_meters,
    volume_prices,
)

events = st.lists(amounts.map(EventUsage), max_size=12)


def by_the_book(model: Graduated, quantity: Decimal) -> Fraction:
    """The definition of graduated prices, written down without any shortcut."""
    amount, low = Fraction(0), Fraction(0)
    for tier in model.tiers:
        if Fraction(quantity) <= low:
            break
        high = Fraction(quantity) if tier.up_to is None else Fraction(tier.up_to)
        part = min(Fraction(quantity), high) - low
        amount += part * Fraction(tier.unit_price) + Fraction(tier.flat_price)
        low = high
    return amount


@given(model=graduated_prices, quantity=quantities)
def test_r24_the_shortcut_of_graduated_prices_equals_their_definition(
    model: Graduated, quantity: Decimal
) -> None:
    assert Fraction(model.rate(quantity)) == by_the_book(model, quantity)


@given(model=graduated_prices, quantity=quantities)
def test_r23_tiers_partition_the_quantity(model: Graduated, quantity: Decimal) -> None:
    steps = model.explain(quantity)
    assert sum(Fraction(step.quantity) for step in steps) == quantity
    for before, after in pairwise(steps):
        assert before.to_quantity == after.from_quantity


@given(model=quantity_models, quantity=quantities)
def test_r41_the_steps_of_every_model_add_up_to_its_amount(
    model: QuantityModel, quantity: Decimal
) -> None:
    steps = model.explain(quantity)
    assert sum(Fraction(step.amount) for step in steps) == model.rate(quantity)
    for step in steps:
        whole = Fraction(step.quantity) * Fraction(step.unit_price) + Fraction(step.flat_price)
        assert whole == step.amount


@given(model=quantity_models, one=quantities, other=quantities)
def test_more_usage_never_costs_less_except_under_volume_tiers(
    model: QuantityModel, one: Decimal, other: Decimal
) -> None:
    low, high = sorted((one, other))
    assert isinstance(model, Volume) or model.rate(low) <= model.rate(high)


@given(model=graduated_prices)
def test_graduated_prices_are_continuous_apart_from_flats(model: Graduated) -> None:
    tiny = Fraction(1, 10**9)
    for below, above in pairwise(model.tiers):
        assert below.up_to is not None
        bound = Fraction(below.up_to)
        step = Fraction(model.rate(bound + tiny)) - Fraction(model.rate(bound))
        assert step == Fraction(above.flat_price) + tiny * Fraction(above.unit_price)


@given(model=volume_prices, quantity=quantities)
def test_r25_a_volume_price_is_that_of_the_tier_that_holds_the_quantity(
    model: Volume, quantity: Decimal
) -> None:
    holding = next(tier for tier in model.tiers if tier.up_to is None or quantity <= tier.up_to)
    wanted = Fraction(quantity) * Fraction(holding.unit_price) + Fraction(holding.flat_price)
    assert model.rate(quantity) == (wanted if quantity else 0)


@given(model=quantity_models)
def test_r27_zero_usage_charges_nothing(model: QuantityModel) -> None:
    assert (model.rate(Decimal(0)), model.explain(Decimal(0))) == (0, ())


def one_by_one(model: PercentageByEvent, values: Sequence[EventUsage]) -> Fraction:
    """The definition of a percentage by event, without any shortcut."""
    events_left, amount_left = model.free_events, model.free_amount
    is_free = events_left is not None or amount_left is not None
    total, used, seen = Fraction(0), Fraction(0), 0
    for event in values:
        value = Fraction(event.quantity)
        is_free = is_free and (events_left is None or seen < events_left)
        is_free = is_free and (amount_left is None or used < Fraction(amount_left))
        if is_free:
            room = value if amount_left is None else Fraction(amount_left) - used
            seen, used, value = seen + 1, used + value, value - min(room, value)
            if value == 0:
                continue
        cost = value * Fraction(model.share) + Fraction(model.fixed_per_event)
        if model.maximum_per_event is not None:
            cost = min(cost, Fraction(model.maximum_per_event))
        if model.minimum_per_event is not None:
            cost = max(cost, Fraction(model.minimum_per_event))
        total += cost
    return total


@given(model=percentages_by_event, values=events)
def test_r31_a_percentage_by_event_equals_its_definition(
    model: PercentageByEvent, values: list[EventUsage]
) -> None:
    assert Fraction(model.rate_events(values)) == one_by_one(model, values)


@given(model=event_models, values=events)
def test_the_steps_of_every_model_by_event_add_up_and_show_all_that_was_used(
    model: EventModel, values: list[EventUsage]
) -> None:
    steps = model.explain_events(values)
    assert sum(Fraction(step.amount) for step in steps) == model.rate_events(values)
    if isinstance(model, PercentageByEvent):
        shown = [step.quantity for step in steps if step.kind in {StepKind.TIER, StepKind.FREE}]
        assert sum(map(Fraction, shown)) == sum(Fraction(event.quantity) for event in values)


@given(data=st.data(), meter=any_meters, quantity=quantities, share=shares)
def test_r33_the_amount_of_a_segment_is_explained_to_the_last_digit(
    data: st.DataObject, meter: Meter, quantity: Decimal, share: Fraction
) -> None:
    price = data.draw(modified(quantity_models))
    terms = usage_terms(price, meter=meter, share=share)
    rated = terms.explain(quantity)
    assert rated.amount_exact == terms.rate(quantity) >= 0
    assert sum(Fraction(step.amount) for step in rated.steps) == rated.amount_exact
    converted = quantity if price.convert is None else price.convert.convert(quantity)
    assert Fraction(rated.included_quantity) + Fraction(rated.billable_quantity) == converted


@given(data=st.data(), values=events, share=shares)
def test_r33_the_amount_of_a_segment_by_event_is_explained_to_the_last_digit(
    data: st.DataObject, values: list[EventUsage], share: Fraction
) -> None:
    price = data.draw(modified(event_models))
    terms = usage_terms(price, meter=Meter(key="m", quantity="m", decimals=3), share=share)
    rated = terms.explain_events(values)
    assert rated.amount_exact == terms.rate_events(values) >= 0
    assert sum(Fraction(step.amount) for step in rated.steps) == rated.amount_exact


@given(data=st.data(), meter=summing_meters, quantity=quantities)
def test_r34_the_amount_lies_between_minimum_and_maximum(
    data: st.DataObject, meter: Meter, quantity: Decimal
) -> None:
    price = data.draw(modified(quantity_models))
    terms = usage_terms(price, meter=meter)
    amount, partial = terms.rate(quantity), terms.without_minimum().rate(quantity)
    assert price.minimum <= amount
    assert price.maximum is None or amount <= price.maximum
    assert partial <= amount == max(partial, price.minimum)


@given(data=st.data())
def test_every_price_is_read_back_as_it_was_written(data: st.DataObject) -> None:
    price = data.draw(modified(st.one_of(quantity_models, event_models)))
    assert read_back(usage_price_to_dict(price)) == price


@given(
    data=st.data(),
    parts=st.lists(st.integers(0, 10**12), min_size=1, max_size=20),
    order=st.randoms(use_true_random=False),
)
def test_r36_booking_differences_in_any_order_and_batching_ends_at_the_same_amount(
    data: st.DataObject, parts: list[int], order: object
) -> None:
    price = data.draw(modified(quantity_models))
    terms = usage_terms(price, meter=Meter(key="tokens", quantity="tokens", decimals=3))
    whole = round_to_minor(terms.rate(unscale_quantity(sum(parts), decimals=3)), digits=2)
    order.shuffle(parts)  # type: ignore[attr-defined]
    total = booked = 0
    for part in parts:
        total += part
        now = round_to_minor(terms.rate(unscale_quantity(total, decimals=3)), digits=2)
        booked += now - booked
    assert booked == whole
