"""A database of the revision before keeps its agents and gains the tables of limits."""

import sqlite3
from pathlib import Path

from billing_server.store.migrations.versions import revision_0003
from billing_server.store.unit_of_work import open_store

VERSIONS = Path(revision_0003.__file__).parent


def test_it_follows_the_second() -> None:
    assert (revision_0003.revision, revision_0003.down_revision) == ("0003", "0002")


def test_an_agent_of_the_second_revision_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "billing.db"
    old = sqlite3.connect(path)
    for number in ("0001", "0002"):
        old.executescript((VERSIONS / f"revision_{number}_sqlite.sql").read_text())
    old.executescript(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);"
        "INSERT INTO alembic_version VALUES ('0002');"
        "INSERT INTO agent (agent_id, name, token_sha256, applied_seq, create_time) "
        "VALUES ('agt_1', 'host-1', 't', 7, 0);"
        "INSERT INTO server_state (id, incarnation, create_time) VALUES (1, 'i1', 0);"
        "INSERT INTO catalog_state (id, revision) VALUES (1, 1);"
    )
    old.close()
    store = open_store(f"sqlite:///{path}")
    with store.read() as unit:
        kept = unit.agents.get("agt_1")
        assert unit.limits.accounts("acme") == ()
    store.close()
    assert kept is not None
    assert (kept.applied_seq, kept.sync_nonce, kept.is_ephemeral) == (7, None, False)
    assert kept.forget_time is None
