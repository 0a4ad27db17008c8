"""doctor and tail as a person types them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from meter_agent.cli import app
from tests.meter_agent.support import RunningAgent, event, numbered


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("command", ["doctor", "tail"])
def test_help_has_an_example(command: str) -> None:
    code, out, _ = run(command, "--help")
    assert (code, "Example:" in out) == (0, True)


def test_tail_prints_what_is_kept_of_one_customer_up_to_a_bound(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        agent.record([*numbered(0, 4), event("other", customer_id="beta"), *numbered(4, 9)])
        code, out, _ = run(
            "tail", "--from-start", "--count=6", "--customer=acme", f"--data-dir={tmp_path}/data"
        )
        assert (code, len(out.splitlines()), "beta" in out) == (0, 6, False)
        _, out, _ = run(
            *("tail", "--from-start", "--count=1", "--customer=beta", "--json"),
            f"--data-dir={tmp_path}/data",
        )
        assert json.loads(out)["event_id"] == "other"
        assert agent.status().buffered_event_count == 10


def test_tail_without_a_buffer_says_where_it_looked(tmp_path: Path) -> None:
    code, _, err = run("tail", f"--data-dir={tmp_path}")
    assert (code, "DATABASE_MISSING" in err) == (1, True)


def test_doctor_ends_with_one_where_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "agent.db").write_bytes(b"no database" * 1_000)
    code, out, _ = run("doctor", f"--data-dir={tmp_path}", f"--listen=unix:{tmp_path}/none.sock")
    assert (code, "DATABASE_DAMAGED" in out) == (1, True)
