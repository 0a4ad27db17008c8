"""A database of the revision before keeps its rows and gains what is new."""

from pathlib import Path

from sqlalchemy import text

from billing_server.store.migrations.versions import revision_0002
from billing_server.store.unit_of_work import open_store

VERSIONS = Path(revision_0002.__file__).parent


def test_it_follows_the_first() -> None:
    assert (revision_0002.revision, revision_0002.down_revision) == ("0002", "0001")


def test_an_agent_of_the_first_revision_is_kept(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "billing.db"
    old = sqlite3.connect(path)
    old.executescript((VERSIONS / "revision_0001_sqlite.sql").read_text())
    old.executescript(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);"
        "INSERT INTO alembic_version VALUES ('0001');"
        "INSERT INTO agent (agent_id, name, token_sha256, applied_seq, create_time) "
        "VALUES ('agt_1', 'host-1', 't', 7, 0);"
        "INSERT INTO server_state (id, incarnation, create_time) VALUES (1, 'i1', 0);"
        "INSERT INTO catalog_state (id, revision) VALUES (1, 1);"
    )
    old.close()
    store = open_store(f"sqlite:///{path}")
    with store.read() as unit:
        kept = unit.agents.get("agt_1")
        mark = unit.connection.execute(text("SELECT origin_mark FROM server_state")).scalar()
    store.close()
    assert kept is not None
    assert (kept.applied_seq, kept.parent_ref, kept.reported_next_seq, mark) == (7, None, 0, None)
