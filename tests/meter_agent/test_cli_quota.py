"""The list of unsettled reservations as a person types it."""

import json
from pathlib import Path

from typer.testing import CliRunner

from meter_agent.cli import app
from metering.api.v1 import agent_pb2
from tests.meter_agent.support import WAIT_SECONDS, RunningAgent, wait_until


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr


def reserve(agent: RunningAgent) -> None:
    agent.stub.ReserveQuota(
        agent_pb2.ReserveQuotaRequest(
            reservation_id="r-1",
            customer_id="acme",
            quantities={"output_tokens": "100"},
            dimensions={"model": "large"},
            caller="chat",
        ),
        timeout=WAIT_SECONDS,
    )
    book = agent.agent._quota.counter.book
    [item] = book.all_reservations()
    object.__setattr__(item, "expires_at_us", 0)
    agent.agent._quota.keeper._late_us = 0
    wait_until(lambda: book.unsettled_count == 1)


def test_what_nobody_settled_is_listed(tmp_path: Path) -> None:
    with RunningAgent(tmp_path) as agent:
        assert run("reservations", f"--address={agent.address}") == (0, "", "")
        reserve(agent)
        code, out, _ = run("reservations", f"--address={agent.address}")
        assert code == 0
        assert "acme model=large  output_tokens=100  given back  by chat  r-1" in out
        _, out, _ = run("reservations", "--json", f"--address={agent.address}")
        found = json.loads(out)
        assert (found["reservation_id"], found["granted"]) == ("r-1", {"output_tokens": "100"})
        assert agent.status().unsettled_reservation_count == 1


def test_help_has_an_example() -> None:
    code, out, _ = run("reservations", "--help")
    assert (code, "Example:" in out) == (0, True)
