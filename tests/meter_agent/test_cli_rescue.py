"""`export` and `import` as an operator calls them, up to the server."""

import subprocess
import sys
from pathlib import Path

from tests.meter_agent.fake_server import TOKEN, FakeServer
from tests.meter_agent.process import AgentProcess
from tests.meter_agent.support import RunningAgent, events


def run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "meter_agent.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_buffer_of_a_killed_agent_is_counted_once_by_way_of_another(tmp_path: Path) -> None:
    dead = AgentProcess(tmp_path)
    dead.start()
    dead.record(events("a", "b", "c"))
    file = tmp_path / "dead.usage"
    code, _, error = run("export", str(file), f"--data-dir={dead.data_dir}")
    assert (code, "AGENT_ALREADY_RUNNING" in error) == (1, True)
    dead.kill()
    code, out, _ = run("export", str(file), f"--data-dir={dead.data_dir}")
    assert (code, out) == (0, f"exported 3 events in 1 blocks to {file}\n")
    other = tmp_path / "other"
    for _ in range(2):  # Twice: it does not count twice.
        code, out, error = run("import", str(file), f"--data-dir={other / 'data'}")
        assert (code, error) == (0, "")
        assert out.startswith("imported 3 events in 1 blocks of disk ")
    with (
        FakeServer() as server,
        RunningAgent(other, server=server.address, token=TOKEN) as agent,
    ):
        assert agent.record(events("own")).accepted_count == 1
        agent.wait_until_drained()
        assert len(server.books.counted) == 4
        assert server.books.duplicate_count == 3
        assert server.books.losses == []


def test_a_truncated_file_is_refused_with_its_offset_and_exit_code_1(tmp_path: Path) -> None:
    file = tmp_path / "x.usage"
    file.write_bytes(b"METER-AGENT-EXPORT 1\nMTRF")
    code, out, error = run("import", str(file), f"--data-dir={tmp_path / 'data'}")
    assert (code, out) == (1, "")
    assert "byte 21" in error
    assert "[EXPORT_FILE_TRUNCATED]" in error
