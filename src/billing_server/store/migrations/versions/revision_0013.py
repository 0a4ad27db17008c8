"""The index of an agent's leases leaves out the closed ones that it has heard of."""

from pathlib import Path

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Runs the statements kept beside this file."""
    dialect_name = op.get_bind().dialect.name
    statements = Path(__file__).with_name(f"revision_0013_{dialect_name}.sql").read_text()
    for statement in statements.split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
