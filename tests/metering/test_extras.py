"""A program whose libraries are missing says which extra brings them."""

import sys
from pathlib import Path

import pytest

from metering.extras import run_program


def _module(path: Path, text: str) -> None:
    path.write_text(text)


def test_a_missing_library_is_named_with_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _module(tmp_path / "program_without.py", "import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/meter-agent"])
    with pytest.raises(SystemExit) as ended:
        run_program("program_without", extra="agent")
    assert str(ended.value) == (
        "meter-agent: the library 'no_such_library' is not installed; "
        "run: pip install 'meter-agent[agent]'"
    )


def test_a_missing_part_of_the_program_itself_is_not_taken_for_an_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_program").mkdir()
    _module(tmp_path / "broken_program" / "__init__.py", "")
    _module(tmp_path / "broken_program" / "cli.py", "import broken_program.gone\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError):
        run_program("broken_program.cli", extra="agent")


def test_the_program_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _module(tmp_path / "program_whole.py", "def main():\n    print('ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    run_program("program_whole", extra="agent")
    assert capsys.readouterr().out == "ran\n"


@pytest.mark.parametrize(("wanted", "found"), [("", "NONE"), ("INFO", "INFO")])
def test_the_library_s_own_log_is_silent_unless_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, found: str
) -> None:
    _module(
        tmp_path / "program_that_looks.py",
        "import os\nlevel = os.environ['GRPC_VERBOSITY']\ndef main() -> None:\n    pass\n",
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "program_that_looks", raising=False)
    monkeypatch.setenv("GRPC_VERBOSITY", wanted)
    if not wanted:
        monkeypatch.delenv("GRPC_VERBOSITY")
    run_program("program_that_looks", extra="agent")
    assert sys.modules["program_that_looks"].level == found  # type: ignore[attr-defined]
