"""Where the token comes from, and that it never shows."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from meter_agent.uplink.joining import Joining
from meter_agent.uplink.token import TokenSource
from metering.errors import ValidationError


def test_a_token_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "token"
    source = TokenSource(token_file=path, token=None)
    assert source.read() == ""
    before = source.fingerprint()
    path.write_text("first\n")
    assert source.read() == "first"
    assert source.fingerprint() != before
    path.write_text("second")
    assert source.read() == "second"


def test_a_given_token_is_used_where_there_is_no_file() -> None:
    source = TokenSource(token_file=None, token=" secret \n")
    assert source.read() == "secret"
    assert source.fingerprint() == ()
    assert TokenSource(token_file=None, token=None).read() == ""


def test_the_token_never_shows(tmp_path: Path) -> None:
    source = TokenSource(token_file=None, token="secret")
    assert "secret" not in repr(source)
    assert "secret" not in source.missing_message()


def test_what_is_missing_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "token"
    assert str(path) in TokenSource(token_file=path, token=None).missing_message()
    assert "--token-file" in TokenSource(token_file=None, token=None).missing_message()


def test_a_file_that_others_can_read_is_reported_once(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("secret")
    path.chmod(0o644)
    source = TokenSource(token_file=path, token=None)
    with capture_logs() as logs:
        source.read()
        source.read()
    assert [entry["event"] for entry in logs] == ["token_file_open_to_others"]
    assert "secret" not in str(logs)
    path.chmod(0o600)
    with capture_logs() as logs:
        TokenSource(token_file=path, token=None).read()
    assert logs == []


@pytest.mark.parametrize(
    "content", ["secretsé", "secret\nsecond", "secret\x07", "secret word", "\x00secret"]
)
def test_a_file_that_holds_more_than_a_token_is_named_with_the_remedy(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ValidationError, match="agent enroll") as caught:
        TokenSource(token_file=path, token=None).read()
    assert caught.value.reason == "TOKEN_MALFORMED"
    assert str(path) in caught.value.message
    assert "secret" not in caught.value.message
    with pytest.raises(ValidationError, match="METER_AGENT_TOKEN"):
        TokenSource(token_file=None, token=content).read()


def test_a_token_that_the_agent_got_by_joining_is_used_where_none_is_given(tmp_path: Path) -> None:
    own = tmp_path / "agent.token"
    own.write_text("mat_own\n")
    own.chmod(0o600)
    assert TokenSource(token_file=None, token=None, own_file=own).read() == "mat_own"
    assert TokenSource(token_file=None, token="mat_given", own_file=own).read() == "mat_given"
    missing = TokenSource(token_file=tmp_path / "none", token=None, own_file=own)
    assert missing.read() == ""
    own.unlink()
    source = TokenSource(token_file=None, token=None, own_file=own)
    assert source.read() == ""
    assert "--join-token-file" in source.missing_message()


def test_a_join_token_in_the_place_of_the_agents_own_is_named_with_its_flag(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("mjt_join\n")
    path.chmod(0o600)
    with pytest.raises(ValidationError, match="--join-token-file") as refused:
        TokenSource(token_file=path, token=None).read()
    assert refused.value.reason == "TOKEN_MALFORMED"
    assert "mjt_join" not in refused.value.message


def test_a_changed_join_token_wakes_whoever_waits_for_a_token(tmp_path: Path) -> None:
    join_token_file = tmp_path / "join-token"
    own = tmp_path / "agent.token"
    joining = Joining(token_file=own, join_token_file=join_token_file, host_name="h")
    source = TokenSource(token_file=None, token=None, own_file=own, joining=joining)
    assert source.fingerprint() == ()
    join_token_file.write_text("mjt_join")
    assert len(source.fingerprint()) == 3
    given = TokenSource(token_file=None, token="mat_given", joining=joining)
    assert (given.joining, given.fingerprint()) == (None, ())
