"""`billing-server agent enroll --fleet`, `agent join-tokens` and `agent revoke-join-token`."""

import stat
from pathlib import Path

import pytest

from billing_server.cli.join_tokens import seconds_of
from metering.errors import ValidationError
from tests.billing_server.cli.runner import Commands


def test_a_join_token_is_printed_once_listed_and_revoked(
    commands: Commands, tmp_path: Path
) -> None:
    printed = commands.output("agent", "enroll", "gpu", "--fleet").strip()
    assert printed.splitlines()[-1].startswith("mjt_")
    file = tmp_path / "token"
    told = commands.output(
        *("agent", "enroll", "cpu", "--fleet", "--expires=12h", "--max-agents=1500"),
        *("--ephemeral", f"--token-file={file}"),
    )
    assert "up to 1,500 agents may join cpu until 20" in told
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token = file.read_text().strip()
    assert token.startswith("mjt_")
    assert token not in told
    listed = {each["fleet"]: each for each in commands.json("agent", "join-tokens")}
    assert (listed["gpu"]["max_agents"], listed["cpu"]["max_agents"]) == (100, 1_500)
    assert listed["cpu"]["is_ephemeral"]
    table = commands.output("agent", "join-tokens")
    assert "cpu" in table
    assert token not in table
    gone = commands.output("agent", "revoke-join-token", listed["cpu"]["id"])
    assert f"{listed['cpu']['id']} of cpu is revoked since 20" in gone
    assert commands.json("agent", "revoke-join-token", listed["cpu"]["id"])["state"] == "revoked"
    assert commands.json("agents", "list") == []


def test_options_of_join_tokens_need_the_fleet(commands: Commands) -> None:
    for option in ("--expires=1d", "--max-agents=5"):
        result = commands.run("agent", "enroll", "host-1", option)
        assert result.exit_code == 1
        assert "--fleet" in result.stderr
    assert commands.json("agents", "list") == []


@pytest.mark.parametrize(
    ("text", "seconds"), [("30d", 2_592_000), ("12h", 43_200), (" 90m", 5_400), ("600s", 600)]
)
def test_a_time_span_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "1.5d", "-1d", "1w", "1d2h"])
def test_another_time_span_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ValidationError, match="such as 30d"):
        seconds_of(text)
