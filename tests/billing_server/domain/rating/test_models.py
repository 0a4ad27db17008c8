"""The one table of price models."""

from billing_server.domain.document import node_from_plain
from billing_server.domain.fields import FieldReader, Mistakes
from billing_server.domain.rating.models import PRICE_MODELS, price_model_reader
from tests.billing_server.domain.rating.reading import refusals_of


def test_the_table_holds_every_model_of_the_format_under_its_name() -> None:
    assert list(PRICE_MODELS) == [
        "flat",
        "per_unit",
        "package",
        "graduated",
        "volume",
        "stairstep",
        "percentage",
        "graduated_percentage",
        "dynamic",
    ]


def test_a_price_without_a_model_is_refused() -> None:
    assert refusals_of() == [("model", "FIELD_MISSING")]


def test_an_unknown_model_is_refused_with_the_nearest_name() -> None:
    mistakes = Mistakes("test")
    reader = FieldReader(node_from_plain({"model": "gradated"}), path="", mistakes=mistakes)
    assert reader.required("model", price_model_reader) is None
    (violation,) = mistakes.violations
    assert violation.reason == "PRICE_MODEL_UNKNOWN"
    assert "did you mean 'graduated'?" in violation.description
