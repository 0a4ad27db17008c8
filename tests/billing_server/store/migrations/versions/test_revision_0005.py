"""A database of the revision before keeps its charges, which may then have groups."""

from decimal import Decimal
from pathlib import Path

from billing_server.domain.ports.usage import ChargeKey, ChargeRow
from billing_server.store.migrations.versions import revision_0005
from billing_server.store.unit_of_work import open_store

VERSIONS = Path(revision_0005.__file__).parent
KEY = ChargeKey("acme", "sub", 1_000_000, "tokens", 0)


def test_it_follows_the_fourth() -> None:
    assert (revision_0005.revision, revision_0005.down_revision) == ("0005", "0004")


def test_a_running_charge_of_the_fourth_revision_is_kept(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "billing.db"
    old = sqlite3.connect(path)
    for number in ("0001", "0002", "0003", "0004"):
        old.executescript((VERSIONS / f"revision_{number}_sqlite.sql").read_text())
    old.executescript(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);"
        "INSERT INTO alembic_version VALUES ('0004');"
        "INSERT INTO running_charge (customer_id, subscription_id, period_start, price_key, "
        "segment, quantity, amount_exact, amount_minor) "
        "VALUES ('acme', 'sub', 1000000, 'tokens', 0, '7', '0.07', 7);"
        "INSERT INTO meter (key, content, create_time, update_time) "
        """VALUES ('tokens', '{"key":"tokens","aggregation":"sum"}', 0, 0);"""
        "INSERT INTO server_state (id, incarnation, create_time) VALUES (1, 'i1', 0);"
        "INSERT INTO catalog_state (id, revision) VALUES (1, 1);"
    )
    old.close()
    store = open_store(f"sqlite:///{path}")
    with store.write() as unit:
        grouped = ChargeRow(KEY._replace(group_key='{"a":"b"}'), 1, Decimal(0), 0)
        unit.usage.put_charges([grouped])
        found = unit.usage.charges([KEY, grouped.key])
        kept = unit.catalog.kept_by_event()
    store.close()
    assert found == {KEY: ChargeRow(KEY, 7, Decimal("0.07"), 7), grouped.key: grouped}
    assert kept == {}
