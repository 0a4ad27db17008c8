"""YAML and JSON as located values."""

import pytest

from billing_server.domain.document import (
    TEXT_BYTES_MAX,
    ListNode,
    MapNode,
    Node,
    Scalar,
    ScalarKind,
    check_size,
    document_error,
    load_json,
    load_yaml,
    node_content,
    node_from_plain,
)
from metering.errors import ValidationError


def entry(node: Node, key: str) -> Scalar:
    assert isinstance(node, MapNode)
    found = node.entries[key]
    assert isinstance(found, Scalar)
    return found


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("token", ScalarKind.TEXT),
        ('"0.1"', ScalarKind.TEXT),
        ("'12'", ScalarKind.TEXT),
        ("12", ScalarKind.INTEGER),
        ("0", ScalarKind.INTEGER),
        ("-3", ScalarKind.INTEGER),
        ("0.1", ScalarKind.FLOAT),
        ("1.0e+3", ScalarKind.FLOAT),
        (".inf", ScalarKind.FLOAT),
        ("yes", ScalarKind.BOOLEAN),
        ("~", ScalarKind.NULL),
        ("null", ScalarKind.NULL),
        ("2026-03-01T00:00:00Z", ScalarKind.TIMESTAMP),
        ("2026-03-01", ScalarKind.TIMESTAMP),
        # Integers to YAML 1.1 (8, 31, 1000 and 90), surprises to everybody else.
        ("010", ScalarKind.FLOAT),
        ("0x1f", ScalarKind.FLOAT),
        ("1_000", ScalarKind.FLOAT),
        ("1:30", ScalarKind.FLOAT),
    ],
)
def test_a_yaml_value_keeps_its_text_and_knows_what_it_looks_like(
    written: str, kind: ScalarKind
) -> None:
    value = entry(load_yaml(f"\nvalue: {written}\n", name="f"), "value")
    assert value == Scalar(kind, written.strip("'\""), 2)


def test_yaml_nodes_know_their_lines() -> None:
    node = load_yaml("a:\n  - 1\n  - {b: x}\n", name="f")
    assert isinstance(node, MapNode)
    items = node.entries["a"]
    assert isinstance(items, ListNode)
    assert [item.line for item in items.items] == [2, 3]
    assert entry(items.items[1], "b").line == 3


def test_a_key_that_stands_twice_is_remembered_with_its_line() -> None:
    node = load_yaml("a: 1\nb: 2\na: 3\n", name="f")
    assert isinstance(node, MapNode)
    assert node.duplicates == (("a", 3),)


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("a: [1\nb: 2\n", 2, "this is no YAML"),
        ("a: &x 1\nb: *x\n", 2, "alias *x"),
        ("a: !!float 1\n", 1, "tag"),
        ("a: !thing {}\n", 1, "tag"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("{[1]: 2}", 1, "a field's name"),
        ("a: 1\n~: 2\n", 2, "a field's name"),
        ("\ta: 1\n", 1, "indent with spaces, not tabs"),
    ],
)
def test_yaml_that_a_price_list_does_not_need_is_refused_with_its_line(
    text: str, line: int, part: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        load_yaml(text, name="catalog.yaml")
    assert caught.value.reason == "DOCUMENT_MALFORMED"
    assert caught.value.message.startswith(f"catalog.yaml:{line}: ")
    assert part in caught.value.message


@pytest.mark.parametrize("text", ["a: \x00", "a: \ud800"])
def test_bytes_that_are_no_text_are_refused(text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        load_yaml(text, name="f")
    assert caught.value.reason == "DOCUMENT_MALFORMED"


def test_a_bomb_of_nested_lists_is_refused() -> None:
    for load in (load_yaml, load_json):
        with pytest.raises(ValidationError) as caught:
            load("[" * 100_000, name="f")
        assert caught.value.reason in {"DOCUMENT_TOO_DEEP", "DOCUMENT_MALFORMED"}
    with pytest.raises(ValidationError) as caught:
        load_json("[" * 100 + "]" * 100, name="f")
    assert caught.value.reason == "DOCUMENT_TOO_DEEP"


def test_a_text_beyond_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(ValidationError) as caught:
        load_yaml("a" * (TEXT_BYTES_MAX + 1), name="f")
    assert caught.value.reason == "DOCUMENT_TOO_LARGE"
    check_size("é", name="f", bytes_max=2)
    with pytest.raises(ValidationError):
        check_size("é", name="f", bytes_max=1)


def test_an_empty_text_is_nothing() -> None:
    assert load_yaml("", name="f") == Scalar(ScalarKind.NULL, "", 1)


def test_json_numbers_stay_text() -> None:
    node = load_json('{"a": 0.10, "b": 12, "c": "0.10", "d": true, "e": null}', name="f", line=4)
    assert entry(node, "a") == Scalar(ScalarKind.FLOAT, "0.10", 4)
    assert entry(node, "b") == Scalar(ScalarKind.INTEGER, "12", 4)
    assert entry(node, "c") == Scalar(ScalarKind.TEXT, "0.10", 4)
    assert entry(node, "d").kind is ScalarKind.BOOLEAN
    assert entry(node, "e").kind is ScalarKind.NULL
    assert entry(load_json('{"a": NaN}', name="f"), "a").kind is ScalarKind.FLOAT


def test_json_keys_that_stand_twice_are_remembered() -> None:
    node = load_json('{"a": [{"b": 1, "b": 2}]}', name="f")
    assert isinstance(node, MapNode)
    items = node.entries["a"]
    assert isinstance(items, ListNode)
    assert isinstance(items.items[0], MapNode)
    assert items.items[0].duplicates == (("b", None),)


def test_broken_json_is_refused_with_its_line() -> None:
    with pytest.raises(ValidationError) as caught:
        load_json('{"a": 1,\n "b" 2}', name="f.json")
    assert caught.value.message.startswith("f.json:2: this is no JSON")


def test_plain_values_become_the_same_tree() -> None:
    node = node_from_plain({"a": [1, "x", None, True, 0.5]})
    assert isinstance(node, MapNode)
    items = node.entries["a"]
    assert isinstance(items, ListNode)
    assert [item.kind for item in items.items if isinstance(item, Scalar)] == [
        ScalarKind.INTEGER,
        ScalarKind.TEXT,
        ScalarKind.NULL,
        ScalarKind.BOOLEAN,
        ScalarKind.FLOAT,
    ]


def test_a_plain_value_of_another_type_is_refused() -> None:
    with pytest.raises(ValidationError) as caught:
        node_from_plain({"a": object()})
    assert caught.value.reason == "DOCUMENT_MALFORMED"


def test_an_error_without_a_line_names_the_file() -> None:
    error = document_error(name="f", line=None, reason="DOCUMENT_MALFORMED", problem="it is wrong")
    assert str(error) == "f: it is wrong"
    assert error.violations[0].field == "f"


def test_content_is_equal_wherever_and_in_whatever_order_it_stands() -> None:
    first = load_json('{"a": ["1", 2], "b": {"c": null}}', name="a", line=1)
    second = load_yaml('b:\n  c:\na:\n  - "1"\n  - 2\n', name="b")
    assert node_content(first) != node_content(second)  # null is written in two ways
    third = load_yaml('b:\n  c: null\na:\n  - "1"\n  - 2\n', name="b")
    assert node_content(first) == node_content(third)
    assert hash(node_content(first)) == hash(node_content(third))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('"1"', "1"),
        ("[]", "{}"),
        ('["a"]', '"a"'),
        ('{"a": "1"}', '{"a": "2"}'),
        ('{"a": ["1", "2"]}', '{"a": ["2", "1"]}'),
        ('{"a": "1", "a": "1"}', '{"a": "1"}'),
    ],
)
def test_content_that_reads_differently_is_not_equal(one: str, other: str) -> None:
    assert node_content(load_json(one, name="x")) != node_content(load_json(other, name="x"))
