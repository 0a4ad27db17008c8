"""The commands as a person types them, against real processes."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import structlog
from typer.testing import CliRunner

from meter_agent.cli import app
from metering.api.v1 import agent_pb2, agent_pb2_grpc
from tests.meter_agent.fake_server import TOKEN, FakeServer
from tests.meter_agent.process import AgentProcess
from tests.meter_agent.support import RunningAgent, events, numbered


@pytest.fixture(autouse=True)
def no_agent_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METER_AGENT_ADDRESS", raising=False)


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """`serve` inside this process sends the logs of all tests after it to stderr."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[AgentProcess]:
    started = AgentProcess(tmp_path)
    yield started
    started.kill()


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("command", [(), ("serve",), ("status",), ("drain",)])
def test_help_has_an_example(command: tuple[str, ...]) -> None:
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert not command or "Example:" in out


def test_the_version_is_printed() -> None:
    assert run("--version")[1].count(".") == 2


def test_serve_says_where_it_listens_and_ends_cleanly_on_sigterm(process: AgentProcess) -> None:
    process.start()
    assert process.address in process.banner
    assert f"data in {process.data_dir}" in process.banner
    assert "server none, buffering only" in process.banner
    process.record(events("a"))
    assert process.stop() == 0
    assert not Path(process.address.removeprefix("unix:")).exists()
    # The log was moved into the database and removed.
    assert not (process.data_dir / "agent.db-wal").exists()


def test_sigint_ends_it_as_well(process: AgentProcess) -> None:
    process.start()
    assert process.stop(signal.SIGINT) == 0


def test_a_killed_agent_starts_again_on_its_socket_with_what_it_held(
    process: AgentProcess,
) -> None:
    process.start()
    process.record(events("a"))
    process.kill()
    process.start()
    process.record(events("b"))
    code, out, _ = run("status", "--json", f"--address={process.address}")
    assert code == 0
    status = json.loads(out)
    assert (status["buffered_event_count"], status["next_seq"]) == (2, 3)
    assert process.stop() == 0


def test_a_second_agent_on_the_directory_ends_with_the_remedy(process: AgentProcess) -> None:
    process.start()
    second = subprocess.run(
        [*process.command[:-1], f"--listen=unix:{process.data_dir}/b.sock"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert "AGENT_ALREADY_RUNNING" in second.stderr
    assert f"pid {process.pid}" in second.stderr
    assert str(process.data_dir) in second.stderr


def test_a_port_in_use_ends_with_the_remedy(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, _, err = run(
            "serve", f"--data-dir={tmp_path}", f"--listen=127.0.0.1:{port}", "--log-level=error"
        )
    assert code == 1
    assert f"--listen 127.0.0.1:{port}" in err
    assert "ADDRESS_IN_USE" in err


def test_a_wrong_setting_ends_with_its_flag() -> None:
    code, _, err = run("serve", "--disk-budget-bytes=1")
    assert code == 1
    assert "--disk-budget-bytes" in err


def test_status_shows_a_table_to_a_person(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        agent.record(numbered(0, 1_500))
        code, out, _ = run("status", f"--address={agent.address}")
    assert code == 0
    assert "1,500 events" in out


def test_status_finds_the_agent_by_its_variable_or_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    nowhere = tmp_path / "file" / "run"
    monkeypatch.setattr("meter_agent.edge.addresses.RUNTIME_DIRECTORY", nowhere)
    data_dir = tmp_path / "data"
    with RunningAgent(tmp_path) as agent:
        monkeypatch.setenv("METER_AGENT_ADDRESS", agent.address)
        assert run("status")[0] == 0
        (data_dir / "agent.sock").symlink_to(tmp_path / "agent.sock")
        assert run("status", f"--data-dir={data_dir}")[0] == 0


def test_status_without_an_agent_says_how_to_start_one(tmp_path: Path) -> None:
    code, _, err = run("status", f"--address=unix:{tmp_path}/none.sock")
    assert code == 1
    assert "meter-agent serve" in err


def test_drain_waits_until_nothing_is_buffered(tmp_path: Path) -> None:
    with (
        FakeServer() as server,
        RunningAgent(tmp_path, server=server.address, token=TOKEN) as agent,
    ):
        agent.record(numbered(0, 500))
        code, out, _ = run("drain", "--timeout=20", f"--address={agent.address}")
        # The agent of the test lives in this process: its log may come between.
        assert (code, out.splitlines()[-1]) == (0, "0 events buffered")
        assert len(server.event_ids) == 500


def test_drain_says_why_it_did_not_end(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        agent.record(numbered(0, 3))
        code, out, err = run("drain", "--timeout=0", f"--address={agent.address}")
    assert (code, out) == (1, "")
    assert "3 events are still buffered" in err
    assert "--server" in err


def test_logs_are_json_where_stderr_is_no_terminal_and_hold_no_token(
    process: AgentProcess, tmp_path: Path
) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("very-secret-token")
    token_file.chmod(0o600)
    with FakeServer() as server:
        process.start(f"--server={server.address}", f"--token-file={token_file}")
        channel = grpc.insecure_channel(process.address)
        stub = agent_pb2_grpc.AgentServiceStub(channel)
        process.wait_for(
            lambda: (
                "refused the agent's token"
                in stub.GetAgentStatus(agent_pb2.GetAgentStatusRequest()).last_error
            )
        )
        channel.close()
        assert process.stop() == 0
    lines = [json.loads(line) for line in process.log_path.read_text().splitlines()]
    assert "uplink_failed" in [line["event"] for line in lines]
    assert "very-secret-token" not in process.log_path.read_text()
