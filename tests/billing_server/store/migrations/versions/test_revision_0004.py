"""A database of the revision before gains the table of alerts."""

import sqlite3
from contextlib import closing
from pathlib import Path

from billing_server.domain.ports.alerts import UnpricedSeries
from billing_server.store.migrations.versions import revision_0004
from billing_server.store.unit_of_work import open_store

VERSIONS = Path(revision_0004.__file__).parent


def test_it_follows_the_third() -> None:
    assert (revision_0004.revision, revision_0004.down_revision) == ("0004", "0003")


def test_usage_of_the_third_revision_is_kept_and_can_be_told(tmp_path: Path) -> None:
    path = tmp_path / "billing.db"
    with closing(sqlite3.connect(path)) as old:
        for number in ("0001", "0002", "0003"):
            old.executescript((VERSIONS / f"revision_{number}_sqlite.sql").read_text())
        old.executescript(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);"
            "INSERT INTO alembic_version VALUES ('0003');"
            "INSERT INTO usage_series VALUES (7, 'acme', 'tokens', '{\"model\":\"new\"}');"
            "INSERT INTO server_state (id, incarnation, create_time) VALUES (1, 'i1', 0);"
            "INSERT INTO catalog_state (id, revision) VALUES (1, 1);"
        )
    store = open_store(f"sqlite:///{path}")
    with store.write() as unit:
        unit.alerts.raise_unpriced([UnpricedSeries("acme", 7, 0)])
        (told,) = unit.alerts.page(limit=2)
    store.close()
    assert (told.meter_key, told.dimensions) == ("tokens", {"model": "new"})
