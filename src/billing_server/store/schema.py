"""The one MetaData of the server's database, and how its tables are made."""

from sqlalchemy import MetaData, Table
from sqlalchemy.schema import SchemaItem

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every table of the server. Constraints have names, so that a later migration can find them."""


def row_table(name: str, *items: SchemaItem) -> Table:
    """Returns a table; on SQLite it is STRICT, so that no value changes its type in storage."""
    return Table(name, metadata, *items, sqlite_strict=True)


def key_ordered_table(name: str, *items: SchemaItem) -> Table:
    """Returns a table whose rows lie in the order of the primary key on SQLite (WITHOUT ROWID)."""
    return Table(name, metadata, *items, sqlite_strict=True, sqlite_with_rowid=False)
