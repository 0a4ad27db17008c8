"""THE table of price models: a new model is one file and one row here."""

from collections.abc import Callable, Mapping
from typing import Final

from billing_server.domain.document import Node
from billing_server.domain.fields import FieldMistake, FieldReader, not_a_choice, text
from billing_server.domain.rating.dynamic import Dynamic, read_dynamic
from billing_server.domain.rating.flat import Flat, read_flat
from billing_server.domain.rating.graduated import Graduated, read_graduated
from billing_server.domain.rating.graduated_percentage import (
    GraduatedPercentage,
    read_graduated_percentage,
)
from billing_server.domain.rating.package import Package, read_package
from billing_server.domain.rating.per_unit import PerUnit, read_per_unit
from billing_server.domain.rating.percentage import Percentage, read_percentage
from billing_server.domain.rating.price_model import PriceModel
from billing_server.domain.rating.stairstep import Stairstep, read_stairstep
from billing_server.domain.rating.volume import Volume, read_volume

PRICE_MODELS: Final[Mapping[str, Callable[[FieldReader], PriceModel | None]]] = {
    Flat.name: read_flat,
    PerUnit.name: read_per_unit,
    Package.name: read_package,
    Graduated.name: read_graduated,
    Volume.name: read_volume,
    Stairstep.name: read_stairstep,
    Percentage.name: read_percentage,
    GraduatedPercentage.name: read_graduated_percentage,
    Dynamic.name: read_dynamic,
}
"""The word in `model` to the reader of the model's own fields."""


def price_model_reader(node: Node) -> Callable[[FieldReader], PriceModel | None]:
    """Reads the word in `model` and returns the reader of that model's own fields.

    Raises:
        FieldMistake: PRICE_MODEL_UNKNOWN.
    """
    word = text(node)
    reader = PRICE_MODELS.get(word)
    if reader is None:
        raise _unknown_model(word)
    return reader


def _unknown_model(word: str) -> FieldMistake:
    return not_a_choice(word, known=list(PRICE_MODELS), later={}, reason="PRICE_MODEL_UNKNOWN")
