"""Whatever the tiers and quantities: parts make the whole, and order never matters."""

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.catalog.model import Aggregation, Meter, UsagePrice
from billing_server.domain.rating.graduated import Graduated
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.rating.price_model import PriceModel
from billing_server.domain.rating.tier import Tier
from billing_server.domain.rating.usage import usage_terms
from metering.money import exact_context, round_to_minor
from metering.quantity import unscale_quantity

quantities = st.integers(0, 10**15).map(lambda scaled: unscale_quantity(scaled, decimals=3))
prices = st.integers(0, 10**14).map(lambda scaled: Decimal(scaled).scaleb(-12))


@st.composite
def graduated(draw: st.DrawFn) -> Graduated:
    scaled = draw(st.lists(st.integers(1, 10**15), max_size=6, unique=True))
    bounds = [unscale_quantity(value, decimals=3) for value in sorted(scaled)]
    return Graduated(tuple(Tier(bound, draw(prices), draw(prices)) for bound in (*bounds, None)))


models = st.one_of(graduated(), prices.map(PerUnit))
meters = st.builds(
    Meter,
    key=st.just("tokens"),
    quantity=st.just("tokens"),
    decimals=st.integers(0, 3),
    aggregation=st.sampled_from(Aggregation),
)
shares = st.fractions(min_value=0, max_value=1, max_denominator=10**6)


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


@given(model=graduated(), quantity=quantities)
def test_r24_the_shortcut_of_graduated_prices_equals_their_definition(
    model: Graduated, quantity: Decimal
) -> None:
    assert Fraction(model.rate(quantity)) == by_the_book(model, quantity)


@given(model=models, quantity=quantities)
def test_r41_steps_add_up_to_the_amount_and_partition_the_quantity(
    model: PriceModel, quantity: Decimal
) -> None:
    steps = model.explain(quantity)
    with exact_context():
        assert sum((step.amount for step in steps), Decimal(0)) == model.rate(quantity)
        assert sum((step.quantity for step in steps), Decimal(0)) == quantity
    for before, after in pairwise(steps):
        assert before.to_quantity == after.from_quantity


@given(model=models, one=quantities, other=quantities)
def test_more_usage_never_costs_less(model: PriceModel, one: Decimal, other: Decimal) -> None:
    low, high = sorted((one, other))
    assert model.rate(low) <= model.rate(high)


@given(model=graduated())
def test_graduated_prices_are_continuous_apart_from_flats(model: Graduated) -> None:
    tiny = Decimal("0.000000001")
    for below, above in pairwise(model.tiers):
        assert below.up_to is not None
        with exact_context():
            step = model.rate(below.up_to + tiny) - model.rate(below.up_to)
            assert step == above.flat_price + tiny * above.unit_price


@given(model=models)
def test_r27_zero_usage_charges_nothing(model: PriceModel) -> None:
    assert model.rate(Decimal(0)) == 0


@given(model=models, meter=meters, included=quantities, quantity=quantities, share=shares)
def test_the_amount_of_a_segment_is_never_negative_and_explained(
    model: PriceModel, meter: Meter, included: Decimal, quantity: Decimal, share: Fraction
) -> None:
    price = UsagePrice(key="p", meter="tokens", included=included, model=model)
    terms = usage_terms(price, meter=meter, share=share)
    rated = terms.explain(quantity)
    assert rated.amount_exact == terms.rate(quantity) >= 0
    assert rated.included_quantity + rated.billable_quantity == quantity
    steps = sum((Fraction(step.amount) for step in rated.steps), Fraction(0))
    assert Fraction(rated.amount_exact) == steps * rated.amount_share


@given(
    model=models,
    included=quantities,
    parts=st.lists(st.integers(0, 10**12), min_size=1, max_size=20),
    order=st.randoms(use_true_random=False),
)
def test_r36_booking_differences_in_any_order_and_batching_ends_at_the_same_amount(
    model: PriceModel, included: Decimal, parts: list[int], order: object
) -> None:
    price = UsagePrice(key="p", meter="tokens", included=included, model=model)
    terms = usage_terms(price, meter=Meter(key="tokens", quantity="tokens", decimals=3))
    whole = round_to_minor(terms.rate(unscale_quantity(sum(parts), decimals=3)), digits=2)
    order.shuffle(parts)  # type: ignore[attr-defined]
    total = booked = 0
    for part in parts:
        total += part
        now = round_to_minor(terms.rate(unscale_quantity(total, decimals=3)), digits=2)
        booked += now - booked
    assert booked == whole
