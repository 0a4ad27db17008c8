"""Brings a database to the schema of this program: forward only, at every start.

A revision is a number in four digits. A database in memory is made at once from the tables, since
it has no past; a test compares both ways.
"""

import secrets
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from billing_server.store import tables
from billing_server.store.engine import Backend, Engines
from metering.errors import InvalidStateError

SCHEMA_REVISION = "0017"
"""Newest revision that this program knows."""
INVOICE_NUMBER_SERIES = "invoice"
MIGRATION_LOCK = 0x6D657465
"""Advisory lock that lets one replica migrate at a time on PostgreSQL."""

_SCRIPTS = Path(__file__).with_name("migrations")


def prepare_schema(engines: Engines) -> None:
    """Makes or upgrades the schema and writes the rows that every database has.

    Raises:
        InvalidStateError: DATABASE_NEWER; nothing is changed then.
    """
    with engines.writer.begin() as connection:
        if engines.backend is Backend.SQLITE_MEMORY:
            tables.metadata.create_all(connection)
        else:
            if engines.backend is Backend.POSTGRESQL:
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK}
                )
            _upgrade(connection)
        _write_first_rows(connection)


def _upgrade(connection: Connection) -> None:
    found = _revision_of(connection)
    if found == SCHEMA_REVISION:
        return
    if found is not None and found > SCHEMA_REVISION:
        raise InvalidStateError(
            reason="DATABASE_NEWER",
            message=(
                f"the database has schema {found}, this program knows {SCHEMA_REVISION} at most: "
                "start the newer billing-server that wrote it, or restore a backup made before "
                "that upgrade"
            ),
            metadata={"database_revision": found, "program_revision": SCHEMA_REVISION},
        )
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision_of(connection: Connection) -> str | None:
    """Returns the schema revision of a database; None where it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _write_first_rows(connection: Connection) -> None:
    if connection.execute(tables.catalog_state.select()).first() is not None:
        return
    now = datetime.now(UTC)
    connection.execute(
        tables.server_state.insert().values(
            id=1, incarnation=secrets.token_hex(16), create_time=now
        )
    )
    connection.execute(tables.catalog_state.insert().values(id=1, revision=1))
    connection.execute(
        tables.number_series.insert().values(
            key=INVOICE_NUMBER_SERIES, prefix="INV-", next_number=1
        )
    )
