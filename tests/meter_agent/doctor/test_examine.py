"""All checks together, as `meter-agent doctor` runs them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from billing_server.edge.grpc.server import IngestServer, Reflection
from billing_server.store.unit_of_work import SqlStore
from meter_agent.cli import app
from meter_agent.config import AgentSettings
from meter_agent.doctor.examine import examine
from meter_agent.doctor.finding import Severity
from metering.clock import SystemClock
from tests.meter_agent.support import RunningAgent


@pytest.fixture(autouse=True)
def no_settings_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOKEN", "TOKEN_FILE", "SERVER", "DATA_DIR", "LISTEN", "CONFIG"):
        monkeypatch.delenv(f"METER_AGENT_{name}", raising=False)


@pytest.fixture
def server(memory_store: SqlStore) -> Iterator[IngestServer]:
    started = IngestServer(
        store=memory_store,
        clock=SystemClock(),
        listen="127.0.0.1:0",
        reflection_mode=Reflection.ON,
    )
    started.start()
    yield started
    started.stop()


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["doctor", *arguments])
    return done.exit_code, done.stdout


def test_an_agent_without_a_server_has_no_error(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        code, out = run(f"--data-dir={tmp_path}/data", f"--listen={agent.address}")
    assert code == 0
    assert "SERVER_MISSING" in out
    assert out.splitlines()[-1].startswith("0 errors, ")


def test_a_real_server_that_does_not_know_the_token_is_an_error(
    tmp_path: Path, server: IngestServer
) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("mat_secret-of-nobody")
    token_file.chmod(0o600)
    code, out = run(
        "--json",
        f"--data-dir={tmp_path}/data",
        f"--listen=unix:{tmp_path}/none.sock",
        f"--server=127.0.0.1:{server.port}",
        f"--token-file={token_file}",
    )
    view = json.loads(out)
    assert (code, view["is_healthy"]) == (1, False)
    errors = [item["reason"] for item in view["findings"] if item["severity"] == "error"]
    assert errors == ["TOKEN_REFUSED"]
    assert "mat_secret" not in out


def test_a_malformed_token_hides_nothing_else(tmp_path: Path, server: IngestServer) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("mat_one\nmat_two\n")
    token_file.chmod(0o600)
    settings = AgentSettings(
        data_dir=tmp_path,
        listen=(f"unix:{tmp_path}/a.sock",),
        server=f"127.0.0.1:{server.port}",
        token_file=token_file,
    )
    findings = examine(settings, clock=SystemClock())
    assert [item.reason for item in findings if item.severity is Severity.ERROR] == [
        "TOKEN_MALFORMED"
    ]
    assert findings[-1].message.startswith("a billing server answers")


def test_a_server_that_is_away_ends_the_way_to_it(tmp_path: Path, server: IngestServer) -> None:
    port = server.port
    server.stop()
    settings = AgentSettings(
        data_dir=tmp_path,
        listen=(f"unix:{tmp_path}/a.sock",),
        server=f"127.0.0.1:{port}",
        token="t",
    )
    findings = examine(settings, clock=SystemClock())
    assert findings[-1].reason == "SERVER_UNREACHABLE"


def test_a_wrong_setting_is_named_with_its_flag() -> None:
    done = CliRunner().invoke(app, ["doctor", "--instance=../x"])
    assert done.exit_code == 1
    assert "--instance" in done.stderr


def test_every_address_of_several_is_looked_at(tmp_path: Path, server: IngestServer) -> None:
    settings = AgentSettings(
        data_dir=tmp_path,
        listen=(f"unix:{tmp_path}/a.sock",),
        server=f"127.0.0.1:1,127.0.0.1:{server.port}",
        token="mat_nobody",
    )
    findings = examine(settings, clock=SystemClock())
    reasons = [item.reason for item in findings if item.severity is Severity.ERROR]
    assert reasons == ["SERVER_UNREACHABLE", "TOKEN_REFUSED"]


def test_tls_towards_a_server_without_it_is_named_with_the_remedy(
    tmp_path: Path, server: IngestServer
) -> None:
    settings = AgentSettings(
        data_dir=tmp_path,
        listen=(f"unix:{tmp_path}/a.sock",),
        server=f"127.0.0.1:{server.port}",
        token="t",
        tls="on",
    )
    last = examine(settings, clock=SystemClock())[-1]
    assert (last.reason, "speaks no TLS" in last.message) == ("TLS_FAILED", True)
    assert "--tls-cert" in last.remedy


def test_a_certificate_file_that_is_missing_is_named_with_its_flag(
    tmp_path: Path, server: IngestServer
) -> None:
    settings = AgentSettings(
        data_dir=tmp_path,
        listen=(f"unix:{tmp_path}/a.sock",),
        server=f"127.0.0.1:{server.port}",
        token="t",
        server_ca=tmp_path / "none.pem",
    )
    last = examine(settings, clock=SystemClock())[-1]
    assert (last.reason, "--server-ca" in last.message) == ("TLS_FILE_UNUSABLE", True)
