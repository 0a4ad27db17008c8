"""Until when, and for how many, a join token is open; and that the repository keeps its port."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from billing_server.domain.ports.join_tokens import Closed, JoinToken, JoinTokenRepository
from billing_server.store.join_token_repository import SqlJoinTokenRepository
from tests.billing_server.domain.ports.conformance import differences

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TOKEN = JoinToken(
    join_token_id="jtk_1",
    fleet="gpu",
    token_sha256="00",
    create_time=NOW,
    expire_time=NOW + timedelta(days=1),
    agent_count_max=2,
)


def test_a_join_token_is_open_until_its_last_place_and_its_last_instant() -> None:
    last = TOKEN.expire_time - timedelta(microseconds=1)
    assert replace(TOKEN, agent_count=1).closed(last) is None
    assert TOKEN.closed(TOKEN.expire_time) is Closed.EXPIRED
    assert replace(TOKEN, agent_count=2).closed(last) is Closed.USED_UP
    assert replace(TOKEN, revoke_time=NOW, agent_count=2).closed(last) is Closed.REVOKED


def test_the_repository_has_what_the_port_says() -> None:
    assert differences(JoinTokenRepository, SqlJoinTokenRepository) == []
