"""A price book of language models: token prices by model, made from costs and a margin.

Example: input at 2.50 a million tokens and a margin of 0.2, the part of the price that stays:
2.50 / (1 − 0.2) = 3.125 a million, so `unit_price: "0.000003125"` beside `unit_cost: "0.0000025"`.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from billing_server.domain.fields import KEY_BYTES_MAX
from metering.errors import ValidationError
from metering.quantity import plain_decimal

PRICE_PLACES: Final = 10
"""Places of a computed price: four of the price of a million tokens. Rounded up, so that the margin
is never less than was asked for."""
MODELS_MAX: Final = 2_000
"""Models of one price book."""
_HASH_DIGITS: Final = 8


class ModelDimensions(StrEnum):
    """Which dimensions of an event choose its price."""

    MODEL = "model"
    PROVIDER_AND_MODEL = "provider_and_model"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCost:
    """What one model's tokens cost, in USD a token."""

    provider: str
    """Whose model."""
    model: str
    """As events carry it in the dimension `model`."""
    input_cost: Decimal
    """Of a token that is read, >= 0."""
    cached_input_cost: Decimal | None
    """Of a token that is read from the provider's cache, >= 0; None: as any other."""
    output_cost: Decimal
    """Of a token that is written, >= 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBookTerms:
    """How a price book is made of costs."""

    plan_key: str
    """Key of the plan that holds the prices."""
    margin: Fraction
    """Part of each price that stays with the seller, 0 <= margin < 1."""
    dimensions: ModelDimensions = ModelDimensions.MODEL
    """Which dimensions choose a price."""

    def __post_init__(self) -> None:
        if not 0 <= self.margin < 1:
            raise ValidationError(
                reason="MARGIN_OUT_OF_RANGE",
                message=f"margin: {plain_decimal(self.margin)} is not from 0 to below 1; it is the "
                'part of the price that stays with you: "0.2" is 20 %',
            )


_METERS: Final = (
    ("input_tokens", "input", "input"),
    ("cached_input_tokens", "cached-input", "cached input"),
    ("output_tokens", "output", "output"),
)
"""Key of the meter, its part of a price's key, its name for people."""


def price_book(costs: Sequence[ModelCost], *, terms: PriceBookTerms) -> dict[str, object]:
    """Returns a catalog with three meters and a plan of three prices a model, as plain values.

    Raises:
        ValidationError: MODELS_MISSING, TOO_MANY_MODELS, MODEL_AMBIGUOUS (one model of two
            providers, told apart by the model alone).
    """
    _check_models(costs, terms=terms)
    return {
        "meters": [{"key": key, "unit": "token", "aggregation": "sum"} for key, _, _ in _METERS],
        "plans": [
            {
                "key": terms.plan_key,
                "name": "Language models by the token",
                "currency": "USD",
                "billing_period": "month",
                "anchor": "calendar",
                "prices": [price for cost in costs for price in _prices_of(cost, terms=terms)],
            }
        ],
    }


def sale_price(unit_cost: Decimal, *, margin: Fraction) -> Decimal:
    """Returns the price of which `margin` stays, rounded up at `PRICE_PLACES` where it is computed.

    Args:
        unit_cost: >= 0.
        margin: part of the price, 0 <= margin < 1; 0: the price is the cost, unrounded.
    """
    if margin == 0:
        return unit_cost
    exact = Fraction(unit_cost) / (1 - margin)
    scaled = -(-exact.numerator * 10**PRICE_PLACES // exact.denominator)
    return Decimal(scaled).scaleb(-PRICE_PLACES)


def _prices_of(cost: ModelCost, *, terms: PriceBookTerms) -> list[dict[str, object]]:
    cached = cost.input_cost if cost.cached_input_cost is None else cost.cached_input_cost
    where = {"model": cost.model}
    if terms.dimensions is ModelDimensions.PROVIDER_AND_MODEL:
        where = {"provider": cost.provider, "model": cost.model}
    unit_costs = (cost.input_cost, cached, cost.output_cost)
    return [
        {
            "key": _price_key(cost, part=part, dimensions=terms.dimensions),
            "name": f"{cost.model}, {name} tokens",
            "kind": "usage",
            "meter": meter,
            "where": dict(where),
            "model": "per_unit",
            "unit_price": plain_decimal(sale_price(unit_cost, margin=terms.margin)),
            "unit_cost": plain_decimal(unit_cost),
        }
        for (meter, part, name), unit_cost in zip(_METERS, unit_costs, strict=True)
    ]


def _price_key(cost: ModelCost, *, part: str, dimensions: ModelDimensions) -> str:
    """Returns a key that is unique in the plan, cut with a hash where the model's name is long."""
    name = cost.model
    if dimensions is ModelDimensions.PROVIDER_AND_MODEL:
        name = f"{cost.provider}/{cost.model}"
    slug = re.sub(r"\s+", "-", name)
    room = KEY_BYTES_MAX - len(part) - 1
    if len(slug.encode()) > room:
        digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH_DIGITS]
        kept = slug.encode()[: room - _HASH_DIGITS - 1].decode("utf-8", "ignore")
        slug = f"{kept}-{digest}"
    return f"{slug}-{part}"


def _check_models(costs: Sequence[ModelCost], *, terms: PriceBookTerms) -> None:
    if not costs:
        raise ValidationError(
            reason="MODELS_MISSING",
            message="no model has both an input and an output price; name other models",
        )
    if len(costs) > MODELS_MAX:
        raise ValidationError(
            reason="TOO_MANY_MODELS",
            message=f"{len(costs)} models are more than {MODELS_MAX}; name the ones you sell",
        )
    if terms.dimensions is ModelDimensions.MODEL:
        _check_unambiguous(costs)


def _check_unambiguous(costs: Iterable[ModelCost]) -> None:
    provider_of: dict[str, str] = {}
    for cost in costs:
        other = provider_of.setdefault(cost.model, cost.provider)
        if other != cost.provider:
            raise ValidationError(
                reason="MODEL_AMBIGUOUS",
                message=f"{cost.model!r} is a model of {other} and of {cost.provider}: name one "
                "provider, or tell them apart by a dimension provider (--by-provider)",
            )
