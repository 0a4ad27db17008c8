"""Holds the shape of the code: sizes, docstrings, mirrored tests, and no float where money is."""

import ast
import functools
import re
import subprocess
from pathlib import Path

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


@functools.cache
def _text(path: Path) -> str:
    return path.read_text()


@functools.cache
def _nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a file, the module first: parsed and walked once for all tests."""
    return tuple(ast.walk(ast.parse(_text(path))))


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_is_longer_than_the_limit() -> None:
    lengths = {_name(path): len(_text(path).splitlines()) for path in PYTHON_FILES}
    assert {name: length for name, length in lengths.items() if length > FILE_LINES_MAX} == {}


def test_no_function_is_longer_than_the_limit() -> None:
    too_long = [
        f"{_name(path)}: {node.name} ({(node.end_lineno or 0) - node.lineno + 1} lines)"
        for path in PYTHON_FILES
        for node in _nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert too_long == []


def test_every_module_says_what_it_is() -> None:
    modules = [(path, _nodes(path)[0]) for path in SOURCE_FILES]
    without = [
        _name(path)
        for path, module in modules
        if isinstance(module, ast.Module) and not ast.get_docstring(module)
    ]
    assert without == []


def _has_behaviour(path: Path) -> bool:
    """Whether any function does something: ports and plain data only have docstrings."""
    return any(
        not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant)
        for node in _nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for statement in node.body
    )


def test_every_module_has_its_test_at_the_mirrored_path() -> None:
    missing = []
    for path in SOURCE_FILES:
        relative = path.relative_to(SRC)
        wanted = ROOT / "tests" / relative.parent / f"test_{path.stem.lstrip('_')}.py"
        covered = any(str(relative).startswith(prefix) for prefix in COVERED_ELSEWHERE)
        if path.name in {"__init__.py", "__main__.py"} or covered or wanted.exists():
            continue
        if _has_behaviour(path):
            missing.append(str(wanted.relative_to(ROOT)))
    assert missing == []


PURE_MONEY = [
    path
    for path in SOURCE_FILES
    if SRC / "billing_server" / "domain" in path.parents
    or path in {SRC / "metering" / name for name in ("money.py", "quantity.py", "proration.py")}
]


def _is_float(node: ast.AST) -> bool:
    """Whether a node makes a binary fraction: a literal, or a call of `float`."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "float"
    return isinstance(node, ast.Constant) and isinstance(node.value, float)


def test_no_float_where_money_is_computed() -> None:
    floats = [
        f"{_name(path)}:{getattr(node, 'lineno', 0)}"
        for path in PURE_MONEY
        for node in _nodes(path)
        if _is_float(node)
    ]
    assert floats == []


def test_nothing_is_left_for_later_without_an_issue_number() -> None:
    markers = "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX"))
    loose = [
        f"{_name(path)}:{number}"
        for path in PYTHON_FILES
        for number, line in enumerate(_text(path).splitlines(), start=1)
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
