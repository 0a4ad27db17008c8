"""Runs every Python block of the documents, and reads every catalog, as a reader would."""

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing_server.domain.catalog.parse import parse_catalog
from billing_server.domain.quote import quote_document
from metering.testing import FakeAgent

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(?P<language>\w+)[^\n]*\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
QUOTE = re.compile(
    r"^```yaml quote\n(?P<asked>.*?)^```.*?^```json\n(?P<shown>.*?)^```", re.MULTILINE | re.DOTALL
)
QUOTES = [
    (f"{page.relative_to(ROOT)}#{number}", match["asked"], match["shown"])
    for page in PAGES
    for number, match in enumerate(QUOTE.finditer(page.read_text()))
]


def _blocks(language: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for number, match in enumerate(BLOCK.finditer(page.read_text())):
            if match["language"] == language:
                yield f"{page.relative_to(ROOT)}#{number}", match["body"]


PYTHON = list(_blocks("python"))
CATALOGS = [
    *((name, body) for name, body in _blocks("yaml") if re.search(r"^(meters|plans):", body, re.M)),
    # Those of examples/pricing are scenarios, played in tests/golden.
    *(
        (str(path.relative_to(ROOT)), path.read_text())
        for path in ROOT.glob("examples/*/*.yaml")
        if path.parent.name != "pricing"
    ),
]


LIMITS = [(name, body) for name, body in _blocks("yaml") if body.startswith("limits:")]
METERS_OF_LIMITS = "meters: [{key: output_tokens, unit: token, aggregation: sum}]\n"


@pytest.fixture(scope="module")
def agent() -> Iterator[FakeAgent]:
    with FakeAgent() as running:
        yield running


@pytest.mark.parametrize("body", [body for _, body in PYTHON], ids=[name for name, _ in PYTHON])
def test_every_python_block_of_the_documents_runs(body: str, agent: FakeAgent) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", body],
        env={**os.environ, "METER_AGENT_ADDRESS": agent.address},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("body", [body for _, body in CATALOGS], ids=[name for name, _ in CATALOGS])
def test_every_catalog_of_the_documents_is_valid(body: str) -> None:
    parsed = parse_catalog(body, name="catalog.yaml")
    assert parsed.meters or parsed.plans


@pytest.mark.parametrize("body", [body for _, body in LIMITS], ids=[name for name, _ in LIMITS])
def test_every_list_of_limits_of_the_documents_is_one_of_a_plan(body: str) -> None:
    plan = "plans:\n  - key: page\n    currency: USD\n    billing_period: month\n"
    parsed = parse_catalog(
        METERS_OF_LIMITS + plan + textwrap.indent(body, "    "), name="catalog.yaml"
    )
    (parsed_plan,) = parsed.plans
    assert len(parsed_plan.limits) == len(re.findall(r"\bkey:", body))


def test_the_guide_to_limits_shows_lists_of_them() -> None:
    assert sum(name.startswith("docs/guides/quota.md") for name, _ in LIMITS) >= 2


def _json_values(text: str) -> list[dict[str, object]]:
    decoder, values, rest = json.JSONDecoder(), [], text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        values.append(value)
        rest = rest[end:].lstrip()
    return values


@pytest.mark.parametrize(
    ("asked", "shown"), [quote[1:] for quote in QUOTES], ids=[quote[0] for quote in QUOTES]
)
def test_every_quote_of_the_documents_comes_to_what_the_page_shows(asked: str, shown: str) -> None:
    results = quote_document(asked, name="page").results
    wanted = _json_values(shown)
    # A page may show a part of an answer: the fields that it speaks of.
    found = [
        {name: result.get(name) for name in part}
        for result, part in zip(results, wanted, strict=True)
    ]
    assert found == wanted
