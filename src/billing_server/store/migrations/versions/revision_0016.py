"""Tokens by which the hosts of a fleet enroll themselves."""

from pathlib import Path

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Runs the statements kept beside this file."""
    dialect_name = op.get_bind().dialect.name
    statements = Path(__file__).with_name(f"revision_0016_{dialect_name}.sql").read_text()
    for statement in statements.split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
