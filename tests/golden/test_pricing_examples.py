"""The worked examples come to the invoices that their comments and their pages work out by hand.

After a deliberate change of one: `billing-server simulate examples/pricing/NAME.yaml --json >
tests/golden/pricing/NAME.json`
"""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from billing_server.bootstrap import simulate
from billing_server.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples" / "pricing").glob("*.yaml"))
PAGES = ROOT / "docs" / "guides" / "pricing-examples"
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_comes_to_the_invoices_that_it_works_out(path: Path) -> None:
    report = simulate(path.read_text(), name=path.name)
    expected = json.loads((Path(__file__).parent / "pricing" / f"{path.stem}.json").read_text())
    for document in (*report["invoices"], *expected["invoices"]):
        # The hash of the inputs is held by the scenarios beside; here it is the amounts that count.
        del document["inputs_sha256"]
    assert json.loads(json.dumps(report)) == expected
    comments = "\n".join(line for line in path.read_text().splitlines() if "#" in line)
    page = (PAGES / f"{path.stem.replace('_', '-')}.md").read_text()
    for invoice in report["invoices"]:
        for line in invoice["lines"]:
            assert line["amount"] in comments, (invoice["number"], line["price"])
            assert line["amount"] in page, (invoice["number"], line["price"])
        assert invoice["total"] in comments
        assert invoice["total"] in page


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_page_of_an_example_shows_the_prices_that_are_played(path: Path) -> None:
    page = (PAGES / f"{path.stem.replace('_', '-')}.md").read_text()
    played = "".join(path.read_text().split())
    for block in BLOCK.findall(page):
        assert "".join(block.split()) in played


def test_all_examples_are_played_by_one_command() -> None:
    played = CliRunner().invoke(app, ["simulate", *map(str, EXAMPLES)])
    assert played.exit_code == 0
    assert played.stdout.count("══ ") == len(EXAMPLES)
    for path in EXAMPLES:
        assert path.stem.replace("_", "-") in (PAGES / "README.md").read_text()
