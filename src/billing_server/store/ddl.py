"""The statements that make the tables of this program, as text for a migration or a comparison."""

from typing import Literal

from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from billing_server.store.tables import metadata

DialectName = Literal["sqlite", "postgresql"]


def create_statements(dialect_name: DialectName) -> list[str]:
    """Returns CREATE TABLE and CREATE INDEX for every table, in an order that can be run."""
    module = sqlite if dialect_name == "sqlite" else postgresql
    dialect: Dialect = module.dialect()
    statements: list[str] = []
    for table in metadata.sorted_tables:
        statements.append(_tidied(str(CreateTable(table).compile(dialect=dialect))))
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        statements += [_tidied(str(CreateIndex(i).compile(dialect=dialect))) for i in indexes]
    return statements


def _tidied(statement: str) -> str:
    lines = (line.strip() for line in statement.replace("\t", "").splitlines())
    return "\n".join(line for line in lines if line)
