"""The first schema."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes every table of the first schema, from the statements kept beside this file."""
    dialect_name = op.get_bind().dialect.name
    statements = Path(__file__).with_name(f"revision_0001_{dialect_name}.sql").read_text()
    for statement in statements.split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
