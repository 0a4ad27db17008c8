"""Join tokens on both databases."""

from dataclasses import replace
from datetime import UTC, datetime

from billing_server.domain.ports.join_tokens import JoinToken
from billing_server.store.unit_of_work import SqlStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TOKEN = JoinToken(
    join_token_id="jtk_1",
    fleet="gpu",
    token_sha256="aa",
    create_time=NOW,
    expire_time=datetime(2026, 4, 1, tzinfo=UTC),
    agent_count_max=2,
    is_ephemeral=True,
)


def test_a_join_token_is_kept_as_it_was_made_counted_and_revoked(store: SqlStore) -> None:
    with store.write() as unit:
        unit.join_tokens.add(TOKEN)
        unit.join_tokens.add(replace(TOKEN, join_token_id="jtk_2", token_sha256="bb"))
    with store.write() as unit:
        assert unit.join_tokens.lock("jtk_1") == TOKEN
        unit.join_tokens.note_joined("jtk_1")
        unit.join_tokens.note_joined("jtk_1")
        unit.join_tokens.revoke("jtk_1", at=NOW)
    changed = replace(TOKEN, agent_count=2, revoke_time=NOW)
    with store.read() as unit:
        assert unit.join_tokens.get("jtk_1") == changed
        assert unit.join_tokens.by_token_sha256("aa") == changed
        assert unit.join_tokens.get("jtk_3") is None
        assert unit.join_tokens.by_token_sha256("cc") is None


def test_join_tokens_come_in_pages_by_id(store: SqlStore) -> None:
    with store.write() as unit:
        for number in (2, 1, 3):
            unit.join_tokens.add(
                replace(TOKEN, join_token_id=f"jtk_{number}", token_sha256=str(number))
            )
        first = unit.join_tokens.page(after=None, limit=2)
        rest = unit.join_tokens.page(after="jtk_2", limit=2)
    assert [each.join_token_id for each in first] == ["jtk_1", "jtk_2"]
    assert [each.join_token_id for each in rest] == ["jtk_3"]
