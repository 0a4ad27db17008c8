"""In which sync an agent was told of a lease, and of reservations settled elsewhere."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Runs the statements kept beside this file."""
    dialect_name = op.get_bind().dialect.name
    statements = Path(__file__).with_name(f"revision_0006_{dialect_name}.sql").read_text()
    for statement in statements.split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
