"""The doctor on agents that join a fleet."""

from pathlib import Path

import pytest

from meter_agent.doctor.finding import Finding
from meter_agent.doctor.joining import check_own_token

JOIN_TOKEN = "mjt_" + "j" * 43


@pytest.fixture
def join_token_file(tmp_path: Path) -> Path:
    path = tmp_path / "join-token"
    path.write_text(JOIN_TOKEN)
    path.chmod(0o640)
    return path


def found(room: Path, join_token_file: Path | None) -> Finding:
    [finding] = check_own_token(room / "agent.token", join_token_file=join_token_file)
    assert JOIN_TOKEN not in finding.message + finding.remedy
    return finding


def test_before_it_has_joined_the_join_token_is_looked_at(
    tmp_path: Path, join_token_file: Path
) -> None:
    finding = found(tmp_path, join_token_file)
    assert finding.reason == ""
    assert finding.message == (
        f"there is none in {tmp_path}/agent.token yet: `serve` gets one by the join token in "
        f"{join_token_file}, which is not tried here"
    )
    join_token_file.chmod(0o644)
    assert found(tmp_path, join_token_file).reason == "JOIN_TOKEN_FILE_OPEN"
    join_token_file.write_text("mat_other")
    assert found(tmp_path, join_token_file).reason == "JOIN_TOKEN_MALFORMED"
    join_token_file.unlink()
    finding = found(tmp_path, join_token_file)
    assert finding.reason == "JOIN_TOKEN_MISSING"
    assert "--fleet" in finding.remedy


def test_once_it_has_joined_its_own_token_counts(tmp_path: Path, join_token_file: Path) -> None:
    own = tmp_path / "agent.token"
    own.write_text("mat_own")
    own.chmod(0o600)
    join_token_file.unlink()
    assert found(tmp_path, join_token_file).message == f"{own} holds one, closed to others"
    assert found(tmp_path, None).reason == ""


def test_without_both_the_token_is_missing_and_the_flags_are_named(tmp_path: Path) -> None:
    finding = found(tmp_path, None)
    assert finding.reason == "TOKEN_MISSING"
    assert "--join-token-file" in finding.remedy
