"""A price book of language models, from costs and a margin."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_server.domain.catalog.model_prices import (
    MODELS_MAX,
    ModelCost,
    ModelDimensions,
    PriceBookTerms,
    price_book,
    sale_price,
)
from billing_server.domain.catalog.parse import parse_catalog_nodes
from billing_server.domain.document import node_from_plain
from metering.errors import ValidationError

A_FIFTH = Fraction(1, 5)


def cost(model: str, *, provider: str = "openai", cached: str | None = "0.00000125") -> ModelCost:
    return ModelCost(
        provider=provider,
        model=model,
        input_cost=Decimal("0.0000025"),
        cached_input_cost=None if cached is None else Decimal(cached),
        output_cost=Decimal("0.00001"),
    )


def test_a_margin_is_the_part_of_the_price_that_stays() -> None:
    # 2.50 a million of which 80 % are the cost: 3.125 a million.
    assert sale_price(Decimal("0.0000025"), margin=A_FIFTH) == Decimal("0.000003125")
    assert sale_price(Decimal("0.0000025"), margin=Fraction(0)) == Decimal("0.0000025")
    # 1 / 0.7 = 1.428571…: rounded up at four places of the price of a million.
    assert sale_price(Decimal("0.000001"), margin=Fraction(3, 10)) == Decimal("0.0000014286")


@given(
    st.integers(0, 10**9).map(lambda value: Decimal(value).scaleb(-12)),
    st.fractions(min_value=0, max_value=Fraction(99, 100), max_denominator=1000),
)
def test_the_margin_is_never_less_than_asked_for(unit_cost: Decimal, margin: Fraction) -> None:
    price = Fraction(sale_price(unit_cost, margin=margin))
    assert price - Fraction(unit_cost) >= margin * price
    assert price - Fraction(unit_cost) / (1 - margin) < Fraction(1, 10**10)


def test_the_book_applies_as_a_catalog_with_three_prices_a_model() -> None:
    terms = PriceBookTerms(plan_key="models", margin=A_FIFTH)
    book = price_book([cost("large"), cost("small", cached=None)], terms=terms)
    (plan,) = parse_catalog_nodes([("book", node_from_plain(book))]).plans
    found = {price.key: price for price in plan.usage_prices}
    assert list(found) == [
        "large-input",
        "large-cached-input",
        "large-output",
        "small-input",
        "small-cached-input",
        "small-output",
    ]
    assert found["large-cached-input"].unit_cost == Decimal("0.00000125")
    assert found["large-cached-input"].where == {"model": "large"}
    # Without a price of its own a cached token costs as any other: no usage is left unpriced.
    assert found["small-cached-input"].unit_cost == Decimal("0.0000025")


def test_a_model_of_two_providers_is_told_apart_by_a_dimension_or_refused() -> None:
    costs = [cost("claude", provider="anthropic"), cost("claude", provider="aws")]
    with pytest.raises(ValidationError) as refused:
        price_book(costs, terms=PriceBookTerms(plan_key="models", margin=A_FIFTH))
    assert refused.value.reason == "MODEL_AMBIGUOUS"
    terms = PriceBookTerms(
        plan_key="models", margin=A_FIFTH, dimensions=ModelDimensions.PROVIDER_AND_MODEL
    )
    (plan,) = parse_catalog_nodes([("book", node_from_plain(price_book(costs, terms=terms)))]).plans
    assert plan.usage_prices[0].where == {"provider": "anthropic", "model": "claude"}
    assert plan.usage_prices[3].key == "aws/claude-input"


def test_a_long_name_is_cut_with_a_hash_so_that_keys_stay_unique() -> None:
    names = ["m" * 70 + "1", "m" * 70 + "2"]
    terms = PriceBookTerms(plan_key="models", margin=A_FIFTH)
    (plan,) = parse_catalog_nodes(
        [("book", node_from_plain(price_book([cost(name) for name in names], terms=terms)))]
    ).plans
    assert len({price.key for price in plan.usage_prices}) == 6
    assert max(len(price.key) for price in plan.usage_prices) == 64


@pytest.mark.parametrize("margin", [Fraction(1), Fraction(3, 2), Fraction(-1, 10)])
def test_a_margin_that_no_price_can_have_is_refused(margin: Fraction) -> None:
    with pytest.raises(ValidationError) as refused:
        PriceBookTerms(plan_key="models", margin=margin)
    assert refused.value.reason == "MARGIN_OUT_OF_RANGE"


@pytest.mark.parametrize(
    ("count", "reason"), [(0, "MODELS_MISSING"), (MODELS_MAX + 1, "TOO_MANY_MODELS")]
)
def test_a_book_has_models_and_a_bound(count: int, reason: str) -> None:
    terms = PriceBookTerms(plan_key="models", margin=A_FIFTH)
    with pytest.raises(ValidationError) as refused:
        price_book([cost(f"m{number}") for number in range(count)], terms=terms)
    assert refused.value.reason == reason
