"""The schema: made by migrations, the same as the tables, and never downgraded."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.engine import make_url

from billing_server.store.migrate import SCHEMA_REVISION
from billing_server.store.tables import metadata
from billing_server.store.unit_of_work import SqlStore, open_store
from metering.errors import InvalidStateError


def schema_of(path: str) -> dict[str, str]:
    """Returns the statements by which SQLite knows its tables, without white space."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' "
            "AND name <> 'alembic_version'"
        ).fetchall()
    return {name: "".join((sql or "").split()) for name, sql in rows}


def test_a_new_database_has_an_identity_and_a_first_invoice_number(store: SqlStore) -> None:
    with store.read() as unit:
        incarnation = unit.connection.execute(text("SELECT incarnation FROM server_state")).scalar()
        number = unit.connection.execute(text("SELECT next_number FROM number_series")).scalar()
    assert len(incarnation) == 32
    assert number == 1


def test_a_second_start_changes_nothing(database_url: str) -> None:
    identities = []
    for _ in range(2):
        store = open_store(database_url)
        with store.read() as unit:
            identities.append(unit.agents.incarnation())
        store.close()
    assert identities[0] == identities[1]


def test_migrations_and_tables_make_the_same_schema(tmp_path: Path) -> None:
    migrated, direct = str(tmp_path / "migrated.db"), str(tmp_path / "direct.db")
    open_store(f"sqlite:///{migrated}").close()
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{direct}")
    metadata.create_all(engine)
    engine.dispose()
    assert schema_of(migrated) == schema_of(direct), "write a new migration"


@pytest.mark.postgresql
def test_migrations_make_every_table_and_index_on_postgresql(postgresql_url: str) -> None:
    store = open_store(postgresql_url)
    with store.read() as unit:
        inspector = inspect(unit.connection)
        for table in metadata.sorted_tables:
            columns = {column["name"] for column in inspector.get_columns(table.name)}
            assert columns == {column.name for column in table.columns}
            indexes = {index["name"] for index in inspector.get_indexes(table.name)}
            assert {index.name for index in table.indexes} <= indexes
    store.close()


def test_a_database_of_a_newer_version_is_refused_with_both_versions_named(
    database_url: str,
) -> None:
    store = open_store(database_url)
    with store.write() as unit:
        unit.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(InvalidStateError) as raised:
        open_store(database_url)
    assert raised.value.reason == "DATABASE_NEWER"
    message = str(raised.value)
    assert "9999" in message
    assert SCHEMA_REVISION in message
    assert "restore a backup" in message


def test_a_database_in_memory_needs_no_migration(memory_store: SqlStore) -> None:
    with memory_store.read() as unit:
        assert not inspect(unit.connection).has_table("alembic_version")
        assert unit.agents.incarnation()


def test_a_path_with_a_percent_sign_is_fine(tmp_path: Path) -> None:
    directory = tmp_path / "100%"
    directory.mkdir()
    url = make_url("sqlite://").set(database=str(directory / "billing.db"))
    open_store(url.render_as_string()).close()
    assert (directory / "billing.db").exists()
