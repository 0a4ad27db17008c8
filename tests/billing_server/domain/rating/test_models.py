"""The one table of price models."""

from decimal import Decimal

import pytest

from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes
from billing_server.domain.rating.graduated import Graduated
from billing_server.domain.rating.models import (
    LATER_PRICE_MODELS,
    PRICE_MODELS,
    read_price_model,
)
from billing_server.domain.rating.per_unit import PerUnit
from billing_server.domain.rating.price_model import PriceModel


def read(fields: dict[str, object]) -> tuple[PriceModel | None, list[tuple[str, str]]]:
    mistakes = Mistakes("test")
    reader = FieldReader(node_from_plain(fields), path="price", mistakes=mistakes)
    found = read_price_model(reader)
    return found, [(violation.field, violation.reason) for violation in mistakes.violations]


def test_the_table_names_each_model_by_its_own_name() -> None:
    assert list(PRICE_MODELS) == [PerUnit.name, Graduated.name]


def test_each_model_is_read_from_its_fields_and_back() -> None:
    for fields in (
        {"model": "per_unit", "unit_price": "0.5"},
        {"model": "graduated", "tiers": [{"unit_price": "0.5", "flat_price": "0"}]},
    ):
        model, mistakes = read(fields)
        assert mistakes == []
        assert model is not None
        assert {"model": model.name} | dict(model.to_fields()) == fields
        assert model.rate(Decimal(3)) == Decimal("1.5")


@pytest.mark.parametrize("word", sorted(LATER_PRICE_MODELS))
def test_a_model_of_a_later_version_is_refused_by_name(word: str) -> None:
    model, mistakes = read({"model": word})
    assert model is None
    assert mistakes == [("price.model", "NOT_SUPPORTED_YET")]


def test_an_unknown_model_is_refused_with_the_nearest_name() -> None:
    mistakes = Mistakes("test")
    reader = FieldReader(node_from_plain({"model": "gradated"}), path="", mistakes=mistakes)
    assert read_price_model(reader) is None
    (violation,) = mistakes.violations
    assert violation.reason == "PRICE_MODEL_UNKNOWN"
    assert "did you mean 'graduated'?" in violation.description
