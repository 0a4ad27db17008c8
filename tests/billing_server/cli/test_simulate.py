"""`billing-server simulate`."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from billing_server.cli.app import app

SCENARIO = Path(__file__).resolve().parents[2] / "golden" / "scenarios" / "late_usage.yaml"


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_json_is_the_report_and_nothing_else() -> None:
    result = CliRunner().invoke(app, ["simulate", str(SCENARIO), "--json"])
    assert result.exit_code == 0
    assert result.stdout == SCENARIO.with_suffix(".json").read_text()
    assert json.loads(result.stdout)["credit_notes"] == []


def test_text_is_a_timeline_with_each_invoice_whole() -> None:
    result = CliRunner().invoke(app, ["simulate", "-"], input=SCENARIO.read_text())
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "2026-01-01T00:00:00Z  catalog.changed  change=create meter units"
    assert any("Units: late usage" in line for line in lines)


def test_a_mistake_is_named_with_its_line() -> None:
    scenario = 'timeline:\n  - {at: "2026-01-01T00:00:00Z", do: cancel, subscription: s}\n'
    result = CliRunner().invoke(app, ["simulate", "-"], input=scenario)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == (
        "-:2: timeline[0].do: 'cancel' is not supported by this version"
    )


def test_a_period_that_cannot_be_invoiced_ends_the_scenario_naming_the_subscription(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from billing_server.services import run_due_work

    def fail(*_: object, **__: object) -> None:
        raise OverflowError("no invoice can hold it")

    monkeypatch.setattr(run_due_work, "close_period", fail)
    result = CliRunner().invoke(app, ["simulate", str(SCENARIO), "--json"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "could not be invoiced: no invoice can hold it" in result.stderr.splitlines()[-1]
    assert "subscription 'sub-1'" in result.stderr.splitlines()[-1]
