from pathlib import Path

import pytest

from billing_server.store import migrations
from billing_server.store.ddl import DialectName, create_statements
from billing_server.store.migrations.versions import revision_0001

VERSIONS = Path(migrations.__file__).parent / "versions"


def test_it_is_the_first() -> None:
    assert (revision_0001.revision, revision_0001.down_revision) == ("0001", None)


@pytest.mark.parametrize("dialect_name", ["sqlite", "postgresql"])
def test_its_statements_make_the_tables_of_this_program(dialect_name: DialectName) -> None:
    # Once a second revision exists, this compares with the schema that 0001 left.
    kept = (VERSIONS / f"revision_0001_{dialect_name}.sql").read_text()
    assert kept == ";\n".join(create_statements(dialect_name)) + ";\n"
