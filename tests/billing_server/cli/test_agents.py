"""`billing-server agents` and `agent enroll`."""

import stat
from pathlib import Path

from tests.billing_server.cli.runner import Commands


def test_a_token_is_printed_once_or_written_to_a_private_file(
    commands: Commands, tmp_path: Path
) -> None:
    assert commands.output("agent", "enroll", "host-1").startswith("mat_")
    file = tmp_path / "token"
    printed = commands.output("agent", "enroll", "host-2", f"--token-file={file}")
    assert file.read_text().startswith("mat_")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip() not in printed
    assert [agent["name"] for agent in commands.json("agents", "list")] == ["host-1", "host-2"]
    assert "host-1" in commands.output("agents", "list")


def test_a_token_file_is_never_overwritten_and_nothing_is_enrolled_then(
    commands: Commands, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("another agent's")
    for target in (file, tmp_path / "nowhere" / "token"):
        result = commands.run("agent", "enroll", "host-1", f"--token-file={target}")
        assert result.exit_code == 1
        assert "--token-file" in result.stderr
    assert file.read_text() == "another agent's"
    assert commands.json("agents", "list") == []


def test_a_token_is_rotated_into_a_new_file_and_revoked(commands: Commands, tmp_path: Path) -> None:
    old = commands.output("agent", "enroll", "host-1").strip()
    file = tmp_path / "token"
    printed = commands.output("agent", "rotate", "host-1", f"--token-file={file}")
    new = file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert new.startswith("mat_")
    assert new != old
    assert new not in printed
    assert "mat_" in commands.output("agent", "rotate", "host-1")
    assert "host-1 is revoked since 20" in commands.output("agent", "revoke", "host-1")
    assert commands.json("agent", "revoke", "host-1")["name"] == "host-1"
    for command in ("rotate", "revoke"):
        result = commands.run("agent", command, "host-2")
        assert result.exit_code == 1
        assert "agents list" in result.stderr


def test_a_name_is_enrolled_once(commands: Commands) -> None:
    commands.output("agent", "enroll", "host-1")
    result = commands.run("agent", "enroll", "host-1")
    assert result.exit_code == 1
    assert "another name" in result.stderr
