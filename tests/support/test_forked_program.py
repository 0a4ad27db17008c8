"""A program that was forked is started, killed and stopped like any other."""

from pathlib import Path

from tests.support.forked_program import ForkedProgram
from tools.programs import free_port, server_program


def test_it_is_killed_started_again_and_stopped_with_its_exit_code(tmp_path: Path) -> None:
    described = server_program(tmp_path / "server", grpc_port=free_port(), http_port=free_port())
    server = ForkedProgram.like(described)
    server.start()
    first = server.process
    assert first is not None
    assert first.poll() is None
    server.kill()
    assert first.returncode == -9
    server.start()
    assert server.is_ready()
    assert server.stop() == 0
    # What it says goes to its log, as ever, over both starts.
    assert described.log_path.read_text().count("billing-server ready") == 2
