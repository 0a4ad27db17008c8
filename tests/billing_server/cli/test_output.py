"""Tables for people, JSON for programs."""

import json

import pytest

from billing_server.cli.output import print_json, print_table


def test_a_table_shows_a_dash_where_there_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("things", columns=("a", "b"), rows=[("x", None)], right=("b",))
    printed = capsys.readouterr().out
    assert "things" in printed
    assert "│ x │ – │" in printed


def test_a_name_in_brackets_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("things", columns=("a",), rows=[("Acme [red]Inc.[/red]",)])
    assert "Acme [red]Inc.[/red]" in capsys.readouterr().out


def test_an_empty_table_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("things", columns=("a",), rows=[])
    assert capsys.readouterr().out == "things: none\n"


def test_json_keeps_the_order_of_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"b": "ü", "a": 1})
    printed = capsys.readouterr().out
    assert list(json.loads(printed)) == ["b", "a"]
    assert "ü" in printed
