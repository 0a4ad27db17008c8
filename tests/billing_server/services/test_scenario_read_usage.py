"""Usage entries of a timeline."""

import pytest

from billing_server.services.scenario import parse_scenario
from billing_server.services.scenario_steps import UsageRowsStep
from metering.clock import parse_instant
from metering.errors import ValidationError

SCENARIO = """
timeline:
  - {at: "2026-02-01T00:00:00Z", do: create_customer, customer: acme}
  - {at: "2026-02-02T00:00:00Z", do: usage, customer: acme, from_csv: a.csv, dimensions: {m: "x"}}
"""
ROWS = b"event_time,quantities.tokens\n2026-02-05T00:00:00Z,1\n"


def test_a_file_is_read_relative_to_the_scenario_and_ends_it_with_its_last_row() -> None:
    asked: list[str] = []

    def read(path: str) -> bytes:
        asked.append(path)
        return ROWS

    scenario = parse_scenario(SCENARIO, name="s.yaml", read_file=read, usage_files=["b.csv"])
    assert asked == ["a.csv", "b.csv"]
    assert scenario.until == parse_instant("2026-02-05T00:00:00Z")
    files = [step for step in scenario.steps if isinstance(step.action, UsageRowsStep)]
    # A further file is heard from the start on; the only customer is its own.
    assert [step.at for step in files] == [
        parse_instant("2026-02-01T00:00:00Z"),
        parse_instant("2026-02-02T00:00:00Z"),
    ]
    actions = [step.action for step in files if isinstance(step.action, UsageRowsStep)]
    assert [action.rows[0].event_id for action in actions] == ["usage-2-0", "timeline-1-0"]
    assert actions[0].rows[0].customer_id == "acme"
    assert actions[1].rows[0].dimensions == {"m": "x"}


def test_an_entry_with_a_file_takes_nothing_that_the_file_says() -> None:
    text = SCENARIO.replace("from_csv", "quantities: {tokens: '1'}, from_csv")
    with pytest.raises(ValidationError, match=r"quantities: unknown field"):
        parse_scenario(text, name="s.yaml", read_file=lambda _: ROWS)


def test_without_files_an_entry_that_names_one_is_refused() -> None:
    with pytest.raises(ValidationError) as raised:
        parse_scenario(SCENARIO, name="s.yaml")
    assert raised.value.reason == "FILE_UNREADABLE"
