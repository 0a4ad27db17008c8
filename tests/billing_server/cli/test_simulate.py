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
    assert lines[0] == "2026-01-01T00:00:00Z  catalog: create meter units"
    assert any("Units: late usage" in line for line in lines)
    assert (
        "2026-01-10T00:00:00Z  usage of customer acme: 8 units, 1 event at 2026-01-10T00:00:00Z"
        in lines
    )
    assert lines[-1] == "acme: 3 invoices, 8.10 USD in all"


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


TRACE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.0,1000,10
2023-11-16 18:15:47.0,500,5
"""
PRICED = """
catalog:
  meters: [{key: input_tokens, aggregation: sum}, {key: output_tokens, aggregation: sum}]
  plans:
    - key: p
      currency: USD
      anchor: calendar
      prices:
        - {key: in, kind: usage, meter: input_tokens, model: per_unit, unit_price: "0.01"}
timeline:
  - {at: "2026-01-01T00:00:00Z", do: create_customer, customer: acme}
  - {at: "2026-01-01T00:00:00Z", do: subscribe, customer: acme, plan: p}
  - {at: "2026-01-02T00:00:00Z", do: usage, customer: acme, from_csv: trace.csv}
until: "2026-02-02T00:00:00Z"
"""


def test_usage_comes_from_a_trace_beside_the_scenario_and_from_files_that_are_named(
    tmp_path: Path,
) -> None:
    scenario, further = tmp_path / "s.yaml", tmp_path / "more.csv"
    scenario.write_text(PRICED)
    (tmp_path / "trace.csv").write_text(TRACE)
    further.write_text("event_time,quantities.input_tokens\n2026-01-03T00:00:00Z,100\n")
    # (1,000 + 500) × 0.01 = 15.00, and 100 × 0.01 = 1.00.
    for words, total in (([], "15.00"), (["--usage", str(further)], "16.00")):
        result = CliRunner().invoke(app, ["simulate", str(scenario), "--json", *words])
        assert [each["total"] for each in json.loads(result.stdout)["invoices"]] == [total]
    text = CliRunner().invoke(app, ["simulate", str(scenario)]).stdout
    assert "no price for output_tokens of customer acme: see alerts" in text


def test_several_scenarios_are_played_one_by_one(tmp_path: Path) -> None:
    scenario = tmp_path / "s.yaml"
    scenario.write_text(PRICED)
    (tmp_path / "trace.csv").write_text(TRACE)
    words = ["simulate", str(scenario), str(SCENARIO)]
    text = CliRunner().invoke(app, words).stdout
    assert text.startswith(f"══ {scenario}\n")
    assert f"\n══ {SCENARIO}\n" in text
    found = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert [len(report["invoices"]) for report in found] == [1, 3]


def test_a_file_that_is_missing_or_too_large_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from billing_server.cli import simulate

    scenario = tmp_path / "s.yaml"
    scenario.write_text(PRICED)
    missing = CliRunner().invoke(app, ["simulate", str(scenario)])
    assert f"{tmp_path / 'trace.csv'}: cannot be read" in missing.output
    (tmp_path / "trace.csv").write_text(TRACE)
    monkeypatch.setattr(simulate, "USAGE_FILE_BYTES_MAX", 10)
    large = CliRunner().invoke(app, ["simulate", str(scenario)])
    assert "is larger than 10 bytes" in large.output


def test_an_event_without_a_sentence_is_told_by_its_fields() -> None:
    from billing_server.cli.simulate import event_sentence

    assert event_sentence({"time": "x", "event": "grant.expired", "grant": "g"}) == (
        "grant.expired grant=g"
    )


def test_changes_and_corrections_have_sentences() -> None:
    from billing_server.cli.simulate import event_sentence

    move = {"subscription": "sub-1", "version": "1 -> 2", "effective": "2026-03-01T00:00:00Z"}
    assert event_sentence({"time": "x", "event": "subscription.move_version", **move}) == (
        "sub-1 changes version 1 -> 2 on 2026-03-01T00:00:00Z"
    )
    adjusted = {"customer": "acme", "meter": "tokens", "quantity": "-5"}
    assert event_sentence({"time": "x", "event": "usage.adjusted", **adjusted}) == (
        "tokens of customer acme is adjusted by -5"
    )


TAKEN_BACK = """
currency: USD
catalog:
  meters: [{key: calls, aggregation: sum}]
  plans:
    - key: pro
      currency: USD
      anchor: calendar
      prices: [{key: calls, kind: usage, meter: calls, model: per_unit, unit_price: "0.01"}]
timeline:
  - {at: "2026-01-01T00:00:00Z", do: create_customer, customer: acme}
  - {at: "2026-01-01T00:00:00Z", do: subscribe, customer: acme, plan: pro, subscription: sub-1}
  - {at: "2026-01-20T00:00:00Z", do: usage, customer: acme, event_id: e1,
     quantities: {calls: "2000"}}
  - {at: "2026-02-10T00:00:00Z", do: void_usage, event_id: e1}
until: "2026-02-11T00:00:00Z"
"""


def test_r76_a_void_and_what_it_leaves_owed_are_told_in_sentences() -> None:
    told = CliRunner().invoke(app, ["simulate", "-"], input=TAKEN_BACK).stdout.splitlines()
    assert told[-3:] == [
        "2026-02-10T00:00:00Z  event e1 of customer acme counts nothing from now on",
        "2026-02-11T00:00:00Z  owed to customer acme: 20.00 USD, for usage of invoiced periods "
        "that was taken back; it stands on no invoice",
        "acme: 1 invoice, 20.00 USD in all",
    ]
    shown = CliRunner().invoke(app, ["simulate", "-", "--json"], input=TAKEN_BACK)
    assert [event["event"] for event in json.loads(shown.stdout)["events"]][-2:] == [
        "usage.voided",
        "usage.held_back",
    ]
