"""An agent gets its own token by a join token: durable first, then told, the same at each try."""

import hashlib
import stat
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from meter_agent.uplink.client import UplinkError
from meter_agent.uplink.joining import Joining, is_open_to_all, read_join_token
from metering.api.v1 import ingest_pb2
from metering.errors import UnavailableError, ValidationError

JOIN_TOKEN = "mjt_" + "j" * 43


class Server:
    """Takes what hosts send; fails as long as it is away."""

    def __init__(self, room: Path) -> None:
        self.is_away = False
        self.token_file = room / "agent.token"
        self.calls: list[tuple[str, str, bytes]] = []

    def open(self, token: str) -> Any:
        self._token = token
        return self

    def join_fleet(self, request: ingest_pb2.JoinFleetRequest) -> ingest_pb2.JoinFleetResponse:
        pending = self.token_file.with_name("agent.token.joining")
        assert stat.S_IMODE(pending.stat().st_mode) == 0o600
        kept = hashlib.sha256(pending.read_text().strip().encode()).digest()
        assert kept == request.token_sha256, "the server hears of no secret that is not on disk"
        self.calls.append((self._token, request.host_name, request.token_sha256))
        if self.is_away:
            raise UplinkError(message="away")
        return ingest_pb2.JoinFleetResponse(agent_id="agt_1", name="gpu-host-1")


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


@pytest.fixture
def join_token_file(tmp_path: Path) -> Path:
    path = tmp_path / "join-token"
    path.write_text(JOIN_TOKEN + "\n")
    path.chmod(0o640)
    return path


@pytest.fixture
def joining(server: Server, join_token_file: Path) -> Joining:
    return Joining(
        token_file=server.token_file, join_token_file=join_token_file, host_name="host-1"
    )


def names(room: Path) -> list[str]:
    return sorted(path.name for path in room.iterdir())


def test_the_agents_own_token_lies_in_its_directory_once_the_server_knows_it(
    joining: Joining, server: Server, tmp_path: Path
) -> None:
    with capture_logs() as logs:
        token = joining.join(server.open)
    assert server.token_file.read_text() == token + "\n"
    assert stat.S_IMODE(server.token_file.stat().st_mode) == 0o600
    assert server.calls == [(JOIN_TOKEN, "host-1", hashlib.sha256(token.encode()).digest())]
    assert (token[:4], len(token)) == ("mat_", 47)
    assert names(tmp_path) == ["agent.token", "join-token"]
    assert [(log["event"], log["agent_id"], log["name"]) for log in logs] == [
        ("fleet_joined", "agt_1", "gpu-host-1")
    ]
    assert token not in str(logs)
    assert JOIN_TOKEN not in str(logs)


def test_a_try_that_got_no_answer_is_repeated_with_the_same_secret_also_after_a_restart(
    joining: Joining, server: Server, join_token_file: Path
) -> None:
    server.is_away = True
    with pytest.raises(UplinkError):
        joining.join(server.open)
    assert not server.token_file.exists()
    again = Joining(token_file=server.token_file, join_token_file=join_token_file, host_name="x")
    server.is_away = False
    again.join(server.open)
    first, second = server.calls
    assert first[2] == second[2]


@pytest.mark.parametrize("left", ["", "mat_short", "\x00" * 48, "mat_" + "\u00fc" * 43])
def test_what_is_no_secret_is_replaced(joining: Joining, server: Server, left: str) -> None:
    server.token_file.with_name("agent.token.joining").write_text(left)
    server.token_file.with_name("agent.token.joining.new").write_text("torn")
    assert len(joining.join(server.open)) == 47


def test_who_has_joined_joins_never_again_by_itself(
    joining: Joining, server: Server, tmp_path: Path
) -> None:
    server.token_file.write_text("")
    with pytest.raises(UplinkError, match="empty or not readable") as refused:
        joining.join(server.open)
    assert refused.value.is_refused
    assert server.calls == []
    assert names(tmp_path) == ["agent.token", "join-token"]


def test_a_missing_join_token_is_named_with_the_flag_and_the_remedy(
    joining: Joining, server: Server, join_token_file: Path
) -> None:
    before = joining.fingerprint()
    join_token_file.unlink()
    assert joining.fingerprint() != before
    with pytest.raises(UplinkError, match=r"--join-token-file .*/join-token is missing") as refused:
        joining.join(server.open)
    assert "agent enroll NAME --fleet" in refused.value.message
    assert refused.value.is_refused
    assert server.calls == []


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("mat_" + "o" * 43, "an agent's own token"),
        (f"{JOIN_TOKEN}\n{JOIN_TOKEN}", "no join token"),
        ("token: x", "no join token"),
        ("mjt_\u00fc", "no join token"),
    ],
)
def test_another_content_is_refused_without_being_shown(
    join_token_file: Path, content: str, what: str
) -> None:
    join_token_file.write_text(content)
    with pytest.raises(ValidationError, match=f"holds {what}") as refused:
        read_join_token(join_token_file)
    assert refused.value.reason == "JOIN_TOKEN_MALFORMED"
    assert content not in refused.value.message


def test_a_directory_that_takes_no_token_is_told_and_nothing_is_called(
    server: Server, join_token_file: Path, tmp_path: Path
) -> None:
    gone = Joining(
        token_file=tmp_path / "gone" / "agent.token", join_token_file=join_token_file, host_name="h"
    )
    with pytest.raises(UnavailableError, match="let the agent's user own") as refused:
        gone.join(server.open)
    assert refused.value.reason == "TOKEN_NOT_WRITABLE"
    assert server.calls == []


def test_a_join_token_that_every_user_may_read_is_reported_once(
    joining: Joining, server: Server, join_token_file: Path
) -> None:
    assert not is_open_to_all(join_token_file)
    assert not is_open_to_all(join_token_file.with_name("none"))
    join_token_file.chmod(0o644)
    server.is_away = True
    with capture_logs() as logs:
        for _ in range(2):
            with pytest.raises(UplinkError):
                joining.join(server.open)
    assert [log["event"] for log in logs] == ["join_token_file_open_to_others"]
