"""Every command explains itself with an example."""

from importlib.metadata import version

import click
import pytest
import typer
from typer.testing import CliRunner

from billing_server.cli.app import app


def _paths(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    children = getattr(command, "commands", None)
    if not children:
        return [path]
    return [found for name, child in children.items() for found in _paths(child, (*path, name))]


PATHS = _paths(typer.main.get_command(app))


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_the_help_of_a_command_has_an_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.stdout


def test_the_commands_of_the_contract_are_there() -> None:
    assert {" ".join(path) for path in PATHS} >= {
        "serve",
        "apply",
        "quote",
        "simulate",
        "invoices list",
        "invoices show",
        "customers list",
        "customers show",
        "subscriptions list",
        "subscriptions show",
        "agents list",
        "agent enroll",
        "clock show",
        "clock advance-to",
        "quarantine list",
    }


def test_the_version_is_told() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout.strip()) == (0, version("meter-agent"))


@pytest.mark.parametrize("words", [[], ["usage"], ["invoices", "list"]], ids=len)
def test_h_asks_for_help_everywhere(words: list[str]) -> None:
    result = CliRunner().invoke(app, [*words, "-h"])
    assert result.exit_code == 0
    assert result.stdout == CliRunner().invoke(app, [*words, "--help"]).stdout


def test_an_unknown_command_is_refused() -> None:
    assert CliRunner().invoke(app, ["fly"]).exit_code == 2
