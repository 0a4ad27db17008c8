"""A trace of the kernel: each answer OK comes after the log was synced."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.meter_agent.process import AgentProcess
from tests.meter_agent.support import events, wait_until

CALL_COUNT = 30
_CALL = re.compile(r"^(?P<pid>\d+) +(?P<at>[\d.]+) (?P<rest>.*)$")
_TOOK = re.compile(r"= 0 <(?P<seconds>[\d.]+)>$")


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[AgentProcess]:
    """An agent under strace; skipped where there is none, or where it may not trace."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    command = [strace, "-f", "-y", "-ttt", "-T", "-e", "trace=fsync,fdatasync"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("tracing is not allowed here")
    process = AgentProcess(tmp_path)
    process.command = [*command, "-o", str(tmp_path / "trace"), *process.command]
    yield process
    for pid in agents_under(process):
        os.kill(pid, signal.SIGKILL)  # An agent outlives its tracer.
    process.kill()


def agents_under(process: AgentProcess) -> list[int]:
    if not process.is_running:
        return []
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in children.read_text().split()] if children.exists() else []


def is_stopped(process: AgentProcess) -> bool:
    """Asks an agent to stop that still listens; a stop takes a small part of the second."""
    if Path(process.address.removeprefix("unix:")).exists():
        for pid in agents_under(process):
            os.kill(pid, signal.SIGTERM)
        time.sleep(1)
    return process.has_ended()


def sync_ends(trace: str) -> list[float]:
    """Returns when each sync of the log ended, seconds since 1970, in order."""
    ends: list[float] = []
    begun: dict[str, float] = {}
    for line in trace.splitlines():
        found = _CALL.match(line)
        if found is None:
            continue
        pid, at, rest = found["pid"], float(found["at"]), found["rest"]
        took = _TOOK.search(rest)
        if "agent.db-wal>" in rest and took:
            ends.append(at + float(took["seconds"]))
        elif "agent.db-wal>" in rest and "unfinished" in rest:
            begun[pid] = at
        elif "resumed" in rest and took and pid in begun:
            ends.append(begun.pop(pid) + float(took["seconds"]))
    return sorted(ends)


def test_each_answer_comes_after_its_own_sync_of_the_log(
    traced: AgentProcess, tmp_path: Path
) -> None:
    traced.start()
    spans: list[tuple[float, float]] = []
    for number in range(CALL_COUNT):
        start = time.time()
        traced.record(events(f"event-{number}"))
        spans.append((start, time.time()))
    # strace passes no signal on: the agent itself is asked to stop. Again and again, because the
    # kernel may give the signal to another thread while the tracer holds the first one.
    wait_until(lambda: is_stopped(traced))
    ends = sync_ends((tmp_path / "trace").read_text())
    # One call at a time: in the span of each there is a sync of its own.
    for start, answered in spans:
        assert any(start <= end <= answered for end in ends)
    assert len(ends) >= CALL_COUNT
