"""The page of catalog files names every field that a catalog may have."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
READERS = sorted((ROOT / "src/billing_server/domain/catalog").glob("read*.py"))
ASKED = re.compile(
    r"\b\w*reader\.(?:required|optional|maybe|text_map|items|values|child)\(\s*\"(\w+)\""
)
PAGES = [ROOT / "docs/reference/catalog.md", ROOT / "docs/guides/tax.md"]
ELSEWHERE = {
    "billable",  # Has one value in this version.
    "free_units",  # Another name of `included`, on its own page.
}


@pytest.mark.parametrize("file", READERS, ids=lambda path: path.stem)
def test_every_field_that_is_read_is_on_the_page(file: Path) -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    fields = set(ASKED.findall(file.read_text())) - ELSEWHERE
    assert {field for field in fields if not re.search(rf"\b{field}\b", text)} == set()
    # The expression finds the fields of each reader; were it none, nothing would be looked at.
    assert fields
