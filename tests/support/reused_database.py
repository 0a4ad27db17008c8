"""One PostgreSQL database for test after test, brought back to how it was made in between.

Making a database anew costs ten times what emptying its tables does. A test that changes the schema
leaves it unfit; the next one then gets a new database.
"""

from collections.abc import Callable
from typing import Final

import psycopg
from psycopg import sql

Rows = dict[str, bytes]

_TABLES: Final = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
_SEQUENCES: Final = """
SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL
"""
_SCHEMA: Final = """
SELECT md5(string_agg(told, ',' ORDER BY told)) FROM (
  SELECT concat_ws(' ', c.oid, c.relname, a.attname, a.atttypid, a.attnotnull, a.atthasdef)
  FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
  WHERE c.relnamespace = 'public'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', oid, conname, convalidated) FROM pg_constraint
  WHERE connamespace = 'public'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', oid, proname) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', t.oid, t.tgname, t.tgenabled) FROM pg_trigger t
) AS everything (told)
"""
_OTHERS: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class ReusedDatabase:
    """A database that was made from a template, and what it held then.

    Args:
        url: Of the database, fresh from its template.
    """

    def __init__(self, url: str) -> None:
        self.url: Final = url
        self._connection = psycopg.connect(url, autocommit=True)
        self._schema = self._column(_SCHEMA)
        self._tables = self._column(_TABLES)
        # Of all tables at once: each names itself where it has a row.
        self._filled = sql.SQL(" UNION ALL ").join(
            sql.SQL("(SELECT {name} FROM {table} LIMIT 1)").format(
                name=sql.Literal(name), table=sql.Identifier(name)
            )
            for name in self._tables
        )
        self._rows: Rows = {name: self._content(name) for name in self._column(self._filled)}
        assert self._column(_SEQUENCES) == []

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def restore(self) -> bool:
        """Ends what others do in it and brings it back; False where its schema was changed."""
        self._connection.execute(_OTHERS)
        if self._column(_SCHEMA) != self._schema:
            return False
        emptied = sorted({*self._column(self._filled), *self._rows})
        with self._connection.transaction():
            self._run("TRUNCATE {} CASCADE", *emptied)
            for name, content in self._rows.items():
                copy = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(name))
                with self._connection.cursor().copy(copy) as writer:
                    writer.write(content)
            for name in self._column(_SEQUENCES):
                self._run("ALTER SEQUENCE {} RESTART", name)
        return True

    def _content(self, name: str) -> bytes:
        copy = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(name))
        with self._connection.cursor().copy(copy) as reader:
            return b"".join(bytes(part) for part in reader)

    def _column(self, query: str | sql.Composed) -> list[str]:
        return [row[0] for row in self._connection.execute(query).fetchall()]

    def _run(self, statement: str, *names: str) -> None:
        listed = sql.SQL(", ").join(map(sql.Identifier, names))
        self._connection.execute(sql.SQL(statement).format(listed))


class DatabasePool:
    """Hands one database to test after test.

    Args:
        make: Makes a database from the template under a new name; returns its URL.
    """

    def __init__(self, make: Callable[[], str]) -> None:
        self._make = make
        self._kept: ReusedDatabase | None = None

    def take(self) -> ReusedDatabase:
        """Returns a database as the template is; whoever takes it gives it back."""
        found, self._kept = self._kept, None
        return ReusedDatabase(self._make()) if found is None else found

    def give_back(self, database: ReusedDatabase) -> None:
        """Takes a database back, for the next test where it is fit for one."""
        if self._kept is None and database.restore():
            self._kept = database
        else:
            database.close()

    def close(self) -> None:
        """Closes what is kept."""
        if self._kept is not None:
            self._kept.close()
