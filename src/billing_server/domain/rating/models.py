"""THE table of price models: a new model is one file and one row here."""

from collections.abc import Callable, Mapping
from typing import Final

from billing_server.domain.document import Node
from billing_server.domain.fields import FieldMistake, FieldReader, not_a_choice, text
from billing_server.domain.rating.graduated import Graduated, read_graduated
from billing_server.domain.rating.per_unit import PerUnit, read_per_unit
from billing_server.domain.rating.price_model import PriceModel

PRICE_MODELS: Final[Mapping[str, Callable[[FieldReader], PriceModel | None]]] = {
    PerUnit.name: read_per_unit,
    Graduated.name: read_graduated,
}
"""The word in `model` to the reader of the model's own fields."""

LATER_PRICE_MODELS: Final[Mapping[str, str]] = {
    "flat": "a flat price for any usage",
    "package": "a price for each package of units",
    "volume": "one tier's price for the whole quantity",
    "stairstep": "a flat price chosen by tier",
    "percentage": "a share of the event's amount",
    "graduated_percentage": "a share by tier",
    "dynamic": "a price that the event brings",
}
"""Words of the format that this version refuses by name, with what they mean."""


def read_price_model(fields: FieldReader) -> PriceModel | None:
    """Reads `model` and the fields of that model; None where something is wrong, which is noted."""
    reader = fields.required("model", _model_reader)
    return None if reader is None else reader(fields)


def _model_reader(node: Node) -> Callable[[FieldReader], PriceModel | None]:
    word = text(node)
    reader = PRICE_MODELS.get(word)
    if reader is None:
        raise _unknown_model(word)
    return reader


def _unknown_model(word: str) -> FieldMistake:
    return not_a_choice(
        word, known=list(PRICE_MODELS), later=LATER_PRICE_MODELS, reason="PRICE_MODEL_UNKNOWN"
    )
