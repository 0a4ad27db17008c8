"""Mistakes of a text, told all at once and in the order of their lines."""

import pytest

from billing_server.domain.mistakes import FieldMistake, Mistakes, raise_violations
from metering.errors import ValidationError


def test_mistakes_are_told_in_the_order_of_lines() -> None:
    mistakes = Mistakes("f")
    mistakes.add("b", line=9, reason="X", problem="later")
    mistakes.add("a", line=2, reason="X", problem="earlier")
    assert [item.field for item in mistakes.violations] == ["a", "b"]
    with pytest.raises(ValidationError) as caught:
        mistakes.raise_if_any(reason="FILE_INVALID")
    assert caught.value.reason == "FILE_INVALID"
    assert str(caught.value) == "f:2: a: earlier\nf:9: b: later"


def test_without_mistakes_nothing_is_raised() -> None:
    Mistakes("f").raise_if_any(reason="FILE_INVALID")
    raise_violations([], reason="FILE_INVALID")


def test_a_mistake_without_a_line_names_its_path_alone() -> None:
    mistakes = Mistakes("request")
    mistakes.add("price.model", line=None, reason="X", problem="it is wrong")
    mistakes.add("", line=None, reason="X", problem="all of it is wrong")
    assert mistakes.count == 2
    assert [item.description for item in mistakes.violations] == [
        "price.model: it is wrong",
        "all of it is wrong",
    ]


def test_a_parser_says_what_is_wrong_without_knowing_where() -> None:
    mistake = FieldMistake("X", "it is wrong")
    assert (mistake.reason, mistake.problem) == ("X", "it is wrong")
