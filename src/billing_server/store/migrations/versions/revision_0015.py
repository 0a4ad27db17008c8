"""Answers about leases are numbered, so that an agent can say which one it has heard."""

from pathlib import Path

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Runs the statements kept beside this file."""
    dialect_name = op.get_bind().dialect.name
    statements = Path(__file__).with_name(f"revision_0015_{dialect_name}.sql").read_text()
    for statement in statements.split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
