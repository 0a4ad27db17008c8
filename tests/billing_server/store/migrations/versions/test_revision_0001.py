from pathlib import Path

import pytest

from billing_server.store import migrations
from billing_server.store.migrations.versions import revision_0001

VERSIONS = Path(migrations.__file__).parent / "versions"


def test_it_is_the_first() -> None:
    assert (revision_0001.revision, revision_0001.down_revision) == ("0001", None)


@pytest.mark.parametrize("dialect_name", ["sqlite", "postgresql"])
def test_its_statements_are_those_that_were_released(dialect_name: str) -> None:
    # What followed is compared as a whole: migrations and tables make the same schema.
    kept = (VERSIONS / f"revision_0001_{dialect_name}.sql").read_text()
    assert kept.count("CREATE TABLE ") == 20
    assert "agent_customer" not in kept
