"""What long tests counted, printed at the end of a run."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
CONFTEST = "from tests.conftest import pytest_terminal_summary, tell_counts\n"
TESTS = """
def test_one(tell_counts):
    tell_counts("fleets", {"worlds": 2, "crashes": 0})

def test_two(tell_counts):
    tell_counts("fleets", {"worlds": 1_000, "restores": 3})

def test_that_fails(tell_counts):
    tell_counts("fleets", {"worlds": 7})
    assert False
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_counts_of_tests_that_passed_are_summed_over_all_processes(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    printed = pytester.runpytest_subprocess("-n", str(workers), "-p", "no:randomly").outlines
    start = next(place for place, line in enumerate(printed) if "= fleets =" in line)
    assert sorted(printed[start + 1 : start + 4]) == ["crashes: 0", "restores: 3", "worlds: 1,002"]
