"""Readers of fields: typed values, and every mistake by its field."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

import pytest

from billing_server.domain.document import load_yaml, node_from_plain
from billing_server.domain.fields import (
    FieldMistake,
    FieldReader,
    Mistakes,
    Parser,
    boolean,
    choice,
    currency,
    identifier,
    instant,
    integer,
    key_text,
    not_a_choice,
    peek,
    present,
    price,
    quantity,
    text,
    timezone,
)
from metering.errors import InvariantError


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


def reader(value: object, path: str = "") -> FieldReader:
    return FieldReader(node_from_plain(value), path=path, mistakes=Mistakes("request"))


def reasons(fields: FieldReader) -> list[tuple[str, str]]:
    return [(item.field, item.reason) for item in fields.mistakes.violations]


@pytest.mark.parametrize(
    ("parser", "value", "wanted"),
    [
        (text, "Acme Ltd", "Acme Ltd"),
        (key_text, "input-tokens", "input-tokens"),
        (identifier, "x" * 128, "x" * 128),
        (quantity, "1.50", Decimal("1.5")),
        (quantity, 15, Decimal(15)),
        (price, "0.000000000001", Decimal("0.000000000001")),
        (integer(low=0, high=9), 9, 9),
        (integer(low=0, high=9), "7", 7),
        (boolean, True, True),
        (boolean, False, False),
        (instant, "2026-03-01T01:00:00+01:00", datetime(2026, 3, 1, tzinfo=UTC)),
        (currency, "JPY", "JPY"),
        (timezone, "America/New_York", "America/New_York"),
        (choice(Colour), "red", Colour.RED),
    ],
)
def test_a_right_value_is_read(parser: Parser[object], value: object, wanted: object) -> None:
    fields = reader({"field": value})
    assert fields.required("field", parser) == wanted
    fields.finish()
    assert reasons(fields) == []


@pytest.mark.parametrize(
    ("parser", "value", "reason"),
    [
        (text, 4, "TEXT_NOT_QUOTED"),
        (text, True, "TEXT_NOT_QUOTED"),
        (text, "", "TEXT_LENGTH"),
        (text, "x" * 257, "TEXT_LENGTH"),
        (text, "a\nb", "TEXT_MALFORMED"),
        (text, " a", "TEXT_MALFORMED"),
        (text, ["a"], "FIELD_MALFORMED"),
        (key_text, "x" * 65, "KEY_MALFORMED"),
        (key_text, "a b", "KEY_MALFORMED"),
        (identifier, "x" * 129, "ID_MALFORMED"),
        (quantity, 1.5, "FLOAT_NOT_ALLOWED"),
        (quantity, "-1", "QUANTITY_NEGATIVE"),
        (quantity, True, "NUMBER_MALFORMED"),
        (price, 0.1, "FLOAT_NOT_ALLOWED"),
        (price, "-0.1", "PRICE_NEGATIVE"),
        (price, "1e3", "PRICE_MALFORMED"),
        (price, {}, "FIELD_MALFORMED"),
        (integer(low=0, high=9), 10, "INTEGER_OUT_OF_RANGE"),
        (integer(low=0, high=9), -1, "INTEGER_OUT_OF_RANGE"),
        (integer(low=0, high=9), "9" * 5000, "INTEGER_OUT_OF_RANGE"),
        (integer(low=0, high=9), "1.5", "INTEGER_MALFORMED"),
        (integer(low=0, high=9), 1.5, "INTEGER_MALFORMED"),
        (integer(low=0, high=9), "--1", "INTEGER_MALFORMED"),
        (boolean, "true", "BOOLEAN_MALFORMED"),
        (instant, "2026-03-01", "INSTANT_MALFORMED"),
        (instant, "2026-03-01T00:00:00", "INSTANT_MALFORMED"),
        (instant, 20260301, "INSTANT_MALFORMED"),
        (currency, "usd", "CURRENCY_UNKNOWN"),
        (timezone, "+01:00", "TIMEZONE_UNKNOWN"),
        (timezone, "../etc/passwd", "TIMEZONE_UNKNOWN"),
        (choice(Colour), "blue", "CHOICE_UNKNOWN"),
        (choice(Colour, later={"blue": "a blue thing"}), "blue", "NOT_SUPPORTED_YET"),
        (choice(Colour, reason="COLOUR_UNKNOWN"), "x", "COLOUR_UNKNOWN"),
    ],
)
def test_a_wrong_value_is_noted_under_its_field(
    parser: Parser[object], value: object, reason: str
) -> None:
    fields = reader({"field": value}, path="plans[0]")
    assert fields.maybe("field", parser) is None
    assert reasons(fields) == [("plans[0].field", reason)]


def test_absent_and_null_fields_take_the_default() -> None:
    fields = reader({"a": None})
    assert fields.optional("a", text, default="x") == "x"
    assert fields.optional("b", text, default="y") == "y"
    assert fields.maybe("a", text) is None
    assert not fields.has("a")
    assert reasons(fields) == []


def test_a_required_field_that_is_absent_is_noted() -> None:
    fields = reader({"a": None}, path="x")
    assert fields.required("a", text) is None
    assert reasons(fields) == [("x.a", "FIELD_MISSING")]


def test_what_looks_like_a_missing_field_is_noted_and_nothing_else() -> None:
    fields = reader({"modle": "flat", "mdoel": "flat", "amount": "1", "kind": "usage", "key": "a"})
    fields.required("model", text)
    fields.maybe("mdoel", text)
    fields.note_misspelt("model", "amounts", "key")
    assert [(item.field, item.description) for item in fields.mistakes.violations] == [
        ("model", "model: the field is missing"),
        ("modle", "modle: unknown field; did you mean 'model'?"),
        ("amount", "amount: unknown field; did you mean 'amounts'?"),
    ]


def test_an_unknown_field_is_named_with_the_nearest_known_one() -> None:
    fields = reader({"unit_prise": "1", "zzz": "1", "trial": "1"})
    fields.maybe("unit_price", price)
    fields.finish(later={"trial": "a trial"})
    assert reasons(fields) == [
        ("unit_prise", "FIELD_UNKNOWN"),
        ("zzz", "FIELD_UNKNOWN"),
        ("trial", "NOT_SUPPORTED_YET"),
    ]
    first, second, third = fields.mistakes.violations
    assert "did you mean 'unit_price'?" in first.description
    assert "known are: trial, unit_price" in second.description
    assert "a trial is not supported by this version yet" in third.description


def test_a_mistake_names_file_line_and_path() -> None:
    node = load_yaml("a: 1\nprice: 0.1\n", name="catalog.yaml")
    fields = FieldReader(node, path="", mistakes=Mistakes("catalog.yaml"))
    fields.maybe("price", price)
    assert fields.mistakes.violations[0].description.startswith("catalog.yaml:2: price: 0.1 ")
    assert (fields.line_of("price"), fields.line_of("nothing")) == (2, 1)


def test_inner_mappings_and_lists_carry_their_path() -> None:
    fields = reader({"inner": {"x": 1}, "list": [1, "b"], "where": {"m": "large", "n": 2}})
    inner = fields.child("inner")
    assert inner is not None
    assert inner.path_of("x") == "inner.x"
    assert [path for path, _ in fields.items("list")] == ["list[0]", "list[1]"]
    assert fields.values("list", text) == ["b"]
    assert fields.text_map("where") == {"m": "large"}
    assert reasons(fields) == [("list[0]", "TEXT_NOT_QUOTED"), ("where.n", "TEXT_NOT_QUOTED")]


def test_absent_inner_values_are_empty() -> None:
    fields = reader({})
    assert fields.child("inner") is None
    assert list(fields.items("list")) == []
    assert fields.text_map("where") == {}


def test_a_required_inner_mapping_that_is_absent_is_one_mistake() -> None:
    fields = reader({})
    inner = fields.required_child("price")
    assert inner.required("model", text) is None
    assert reasons(fields) == [("price", "FIELD_MISSING")]


def test_a_value_where_a_mapping_or_list_belongs_is_noted() -> None:
    fields = reader({"list": {}, "inner": [1]})
    list(fields.items("list"))
    fields.child("inner")
    assert reasons(fields) == [("list", "FIELD_MALFORMED"), ("inner", "FIELD_MALFORMED")]


def test_peeking_notes_nothing() -> None:
    node = node_from_plain({"key": "a", "n": 1.5})
    assert peek(node, "key", key_text) == "a"
    assert peek(node, "n", quantity) is None


def test_a_value_that_was_refused_in_silence_is_a_defect() -> None:
    assert present("x") == "x"
    with pytest.raises(InvariantError):
        present(None)


def test_a_word_that_is_not_a_choice_lists_the_choices() -> None:
    mistake = not_a_choice("zzz", known=["sum", "max"], later={})
    assert isinstance(mistake, FieldMistake)
    assert "use one of: sum, max" in mistake.problem


def test_a_negative_quantity_is_told_without_a_word_of_usage() -> None:
    fields = reader({"max": "-5"})
    assert fields.maybe("max", quantity) is None
    (told,) = fields.mistakes.violations
    assert (told.reason, told.description) == (
        "QUANTITY_NEGATIVE",
        "max: -5 is negative; write 0 or more",
    )


def test_an_empty_document_is_told_what_belongs_into_it() -> None:
    (told,) = reader(None).mistakes.violations
    assert told.description.endswith(
        "nothing stands where fields belong; write name: value, one a line"
    )
