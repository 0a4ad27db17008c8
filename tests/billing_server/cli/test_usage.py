"""`billing-server usage …`."""

import json
from pathlib import Path

import pytest

from billing_server.cli import usage as cli_usage
from tests.billing_server.cli.runner import Commands
from tests.billing_server.world import Usage

AT = "2026-01-31T10:00:00Z"


def used(commands: Commands) -> list[tuple[str, str]]:
    found = commands.json(
        "usage",
        "events",
        "--customer=acme",
        "--meter=tokens",
        f"--from={AT}",
        "--to=2026-03-01T00:00:00Z",
    )
    return [(each["event_id"], each["quantity"]) for each in found]


def test_an_event_is_amended_voided_and_a_meter_adjusted(commands: Commands) -> None:
    Usage(commands.api.context).send("5", at=AT, event_id="e1")
    said = commands.output("usage", "amend", "e1", "tokens=7", "--reason=recount")
    assert said == "event e1 of acme counts tokens 7 from now on\n"
    assert used(commands) == [("e1", "7")]
    said = commands.output(
        "usage",
        "adjust",
        "--customer=acme",
        "--meter=tokens",
        "--quantity=-2",
        "--reason=goodwill",
        "--dimension=model=large",
    )
    assert said.endswith(f": tokens of acme -2 at {AT}\n")
    said = commands.output("usage", "void", "e1")
    assert said == "event e1 of acme counts nothing from now on\n"


@pytest.mark.parametrize("command", [("events", "--meter=tokens"), ("adjustments",)])
@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("2026-01-31", AT, "error: --from: '2026-01-31' is not an instant"),
        (AT, "tomorrow", "error: --to: 'tomorrow' is not an instant"),
        (AT, AT, "error: --to must be later than --from"),
    ],
)
def test_a_wrong_window_is_told_by_the_names_of_its_options(
    commands: Commands, command: tuple[str, ...], start: str, end: str, said: str
) -> None:
    result = commands.run("usage", *command, "--customer=acme", f"--from={start}", f"--to={end}")
    assert result.exit_code == 1
    assert result.stderr.startswith(said)


def test_a_file_is_imported_once(commands: Commands, tmp_path: Path) -> None:
    event = {"event_id": "old", "customer": "acme", "event_time": AT, "quantities": {"tokens": "3"}}
    file = tmp_path / "old.jsonl"
    file.write_text(json.dumps(event) + "\n\n")
    first = commands.output("usage", "import", str(file))
    assert first == "1 counted, 0 duplicates, 0 conflicts, 0 quarantined\n"
    again = commands.output("usage", "import", str(file))
    assert again == "0 counted, 1 duplicate, 0 conflicts, 0 quarantined\n"
    assert commands.json("usage", "import", str(file))["duplicates"] == 1
    assert used(commands) == [("old", "3")]
    assert "old" in commands.output(
        "usage",
        "events",
        "--customer=acme",
        "--meter=tokens",
        f"--from={AT}",
        "--to=2026-03-01T00:00:00Z",
    )


def test_an_adjustment_that_no_price_charges_says_so(commands: Commands) -> None:
    said = commands.output(
        "usage",
        "adjust",
        "--customer=acme",
        "--meter=tokens",
        "--quantity=2",
        "--reason=goodwill",
    )
    first, second = said.splitlines()
    assert first.endswith(f": tokens of acme +2 at {AT}")
    assert second.startswith("no price charges it")
    window = ("--customer=acme", f"--from={AT}", "--to=2026-03-01T00:00:00Z")
    (listed,) = commands.json("usage", "adjustments", *window)
    assert (listed["quantity"], listed["is_priced"]) == ("2", False)
    assert "goodwill" in commands.output("usage", "adjustments", *window)


def test_what_is_wrong_in_a_file_is_told_by_its_line_with_what_was_counted_before(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_usage, "IMPORT_EVENTS", 1)
    event = {"event_id": "e", "customer": "acme", "event_time": AT, "quantities": {"tokens": "3"}}
    wrong = event | {"event_time": "2030-01-01T00:00:00Z"}
    file = tmp_path / "old.jsonl"
    file.write_text(f"{json.dumps(event)}\n\n{json.dumps(wrong)}\n")
    told = commands.run("usage", "import", str(file)).stderr.splitlines()
    assert told[0].startswith(f"error: {file}:3: event_time: 2030-01-01T00:00:00+00:00 is in the")
    assert told[1] == "of the lines before: 1 counted, 0 duplicates, 0 conflicts, 0 quarantined"
    file.write_text(json.dumps(event | {"quantities": {"tokens": 3}}))
    told = commands.run("usage", "import", str(file)).stderr.splitlines()
    assert told[0].startswith(
        f"error: {file}:1: quantities.tokens: is not text; numbers are quoted"
    )
    assert len(told) == 2
    naive = event | {"event_id": "naive", "event_time": "2026-01-31T10:00:00"}
    file.write_text(f"{json.dumps(event)}\n\n{json.dumps(naive)}\n")
    told = commands.run("usage", "import", str(file)).stderr.splitlines()
    assert told[0].startswith(f"error: {file}:3: event_time: '2026-01-31T10:00:00' is not an ins")
