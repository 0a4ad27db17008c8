import sqlite3
from contextlib import closing

from billing_server.store.ddl import create_statements
from billing_server.store.tables import metadata


def test_the_statements_can_be_run_in_their_order() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in create_statements("sqlite"):
            connection.execute(statement)
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert set(metadata.tables) <= names


def test_each_dialect_has_its_own_types() -> None:
    sqlite_text = "\n".join(create_statements("sqlite"))
    postgresql_text = "\n".join(create_statements("postgresql"))
    assert "STRICT" in sqlite_text
    assert "NUMERIC" not in sqlite_text
    assert "STRICT" not in postgresql_text
    assert "quantity NUMERIC NOT NULL" in postgresql_text
