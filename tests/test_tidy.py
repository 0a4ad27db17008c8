"""Holds the shape of the code: sizes, docstrings, mirrored tests, and no float where money is."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 400

# Packages whose modules are thin enough to be covered by a neighbour's test file, with the reason.
COVERED_ELSEWHERE: dict[str, str] = {}


def _tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\n")
    return [ROOT / name for name in listed if name and (ROOT / name).exists()]


def _is_generated(path: Path) -> bool:
    return SRC / "metering" / "api" in path.parents


PYTHON_FILES = [path for path in _tracked("*.py") if not _is_generated(path)]
SOURCE_FILES = [path for path in PYTHON_FILES if SRC in path.parents]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PYTHON_FILES, ids=_name)
def test_no_file_is_longer_than_the_limit(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX


@pytest.mark.parametrize("path", PYTHON_FILES, ids=_name)
def test_no_function_is_longer_than_the_limit(path: Path) -> None:
    functions = (
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    too_long = [
        f"{node.name} ({(node.end_lineno or 0) - node.lineno + 1} lines)"
        for node in functions
        if (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert too_long == []


@pytest.mark.parametrize("path", SOURCE_FILES, ids=_name)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def _has_behaviour(path: Path) -> bool:
    """Whether any function does something: ports and plain data only have docstrings."""
    return any(
        not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for statement in node.body
    )


@pytest.mark.parametrize("path", SOURCE_FILES, ids=_name)
def test_every_module_has_its_test_at_the_mirrored_path(path: Path) -> None:
    relative = path.relative_to(SRC)
    if not _has_behaviour(path) or path.name in {"__init__.py", "__main__.py"}:
        return
    name = path.stem.lstrip("_")
    wanted = ROOT / "tests" / relative.parent / f"test_{name}.py"
    covered = any(str(relative).startswith(prefix) for prefix in COVERED_ELSEWHERE)
    assert wanted.exists() or covered, f"missing {wanted.relative_to(ROOT)}"


PURE_MONEY = [
    path
    for path in SOURCE_FILES
    if SRC / "billing_server" / "domain" in path.parents
    or path in {SRC / "metering" / name for name in ("money.py", "quantity.py", "proration.py")}
]


@pytest.mark.parametrize("path", PURE_MONEY, ids=_name)
def test_no_float_where_money_is_computed(path: Path) -> None:
    tree = ast.parse(path.read_text())
    calls = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "float"
    ]
    literals = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, float)
    ]
    assert (calls, literals) == ([], [])


@pytest.mark.parametrize("path", PYTHON_FILES, ids=_name)
def test_nothing_is_left_for_later_without_an_issue_number(path: Path) -> None:
    markers = "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX"))
    loose = [
        number
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if re.search(rf"\b({markers})\b(?!\(#\d+\))", line)
    ]
    assert loose == []


def test_every_domain_folder_says_what_it_owns() -> None:
    domain = SRC / "billing_server" / "domain"
    folders = [path for path in domain.iterdir() if path.is_dir() and path.name != "__pycache__"]
    without = [path.name for path in folders if not (path / "README.md").exists()]
    assert without == []


def test_every_link_between_the_documents_leads_somewhere() -> None:
    broken = []
    for page in _tracked("*.md"):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" in target or target.startswith("mailto:"):
                continue
            if not (page.parent / target).exists():
                broken.append(f"{_name(page)} -> {target}")
    assert broken == []
