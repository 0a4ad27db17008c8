"""Every scenario beside this file comes to the same bytes as when its numbers were verified.

The numbers are worked out by hand in the comments of the scenarios. After a deliberate change:
`billing-server simulate tests/golden/scenarios/NAME.yaml --json > tests/golden/scenarios/NAME.json`
"""

import json
from pathlib import Path

import pytest

from billing_server.bootstrap import simulate

SCENARIOS = sorted(Path(__file__).parent.glob("scenarios/*.yaml"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_comes_to_its_verified_invoices(path: Path) -> None:
    report = simulate(path.read_text(), name=path.name)
    expected = path.with_suffix(".json").read_text()
    assert json.dumps(report, indent=2, ensure_ascii=False) + "\n" == expected


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_played_twice_gives_the_same_bytes(path: Path) -> None:
    first, second = (simulate(path.read_text(), name=path.name) for _ in range(2))
    assert json.dumps(first) == json.dumps(second)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_numbers_in_the_comments_are_those_of_the_invoices(path: Path) -> None:
    report = simulate(path.read_text(), name=path.name)
    comments = "\n".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    for invoice in report["invoices"]:
        assert invoice["total"] in comments, invoice["number"]
