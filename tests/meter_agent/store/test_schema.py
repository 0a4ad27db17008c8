"""The schema: made once, migrated once, refused where it is newer."""

from pathlib import Path

import pytest
import sqlite_utils

from meter_agent.store.database import open_writer
from meter_agent.store.reader import OutboxReader
from meter_agent.store.schema import MIGRATIONS, migrate
from metering.errors import InvalidStateError
from tests.meter_agent.support import Store, events, ids_of

STATE_COLUMNS_FIRST = {"id", "disk_id", "agent_id", "server_incarnation", "sync_no", "nonce"} | {
    "applied_seq",
    "safe_seq",
}
"""What the first migration made."""
QUOTA_TABLES = ("lease", "reservation", "customer_terms")


def test_all_tables_are_strict_and_the_state_has_one_row(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "agent.db")
    database = sqlite_utils.Database(connection, execute_plugins=False)
    assert database.table("block").strict
    assert database.table("agent_state").strict
    assert database.table("block").pks == ["first_seq"]
    [state] = database.table("agent_state").rows
    assert len(state.pop("disk_id")) == 16
    assert state == {
        "id": 1,
        "agent_id": "",
        "server_incarnation": "",
        "sync_no": 0,
        "nonce": b"",
        "applied_seq": 0,
        "safe_seq": 0,
        "seq_offset": 0,
        "previous_disk_id": "",
    }
    connection.close()


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    connection = open_writer(path)
    before = list(connection.iterdump())
    migrate(sqlite_utils.Database(connection, execute_plugins=False), path=path)
    assert list(connection.iterdump()) == before
    connection.close()


def test_a_database_of_a_newer_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    connection = open_writer(path)
    connection.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, ?)",
        (MIGRATIONS.name, "0999_from_the_future", "2030-01-01"),
    )
    connection.execute("PRAGMA user_version = 999")
    before = list(connection.iterdump())
    connection.close()
    with pytest.raises(InvalidStateError) as caught:
        open_writer(path)
    assert caught.value.reason == "DATABASE_NEWER"
    assert str(path) in caught.value.message
    assert "0999_from_the_future" in caught.value.message
    assert "--data-dir" in caught.value.message
    untouched = sqlite_utils.Database(path, execute_plugins=False)
    assert list(untouched.conn.iterdump()) == before
    untouched.close()


def test_a_database_without_checksums_is_migrated_and_its_blocks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    with Store(tmp_path) as store:
        store.record(events("old"))
    old = sqlite_utils.Database(path, execute_plugins=False)
    old.conn.execute("ALTER TABLE block DROP COLUMN events_crc32")
    for table in ("refused_block", *QUOTA_TABLES):
        old.conn.execute(f"DROP TABLE {table}")
    for name in set(old.table("agent_state").columns_dict) - STATE_COLUMNS_FIRST:
        old.conn.execute(f"ALTER TABLE agent_state DROP COLUMN {name}")
    old.conn.execute("DELETE FROM _sqlite_migrations WHERE name > '0002'")
    old.conn.commit()
    old.close()
    with Store(tmp_path) as store:
        store.record(events("new"))
        reader = OutboxReader(path)
        page = reader.page(first_seq=1, event_count_max=10, bytes_max=10_000)
        reader.close()
    assert [ids_of(block.events) for block in page] == [["old"], ["new"]]


def test_a_database_of_the_version_before_quota_keeps_its_events(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    with Store(tmp_path) as store:
        store.record(events("old"))
    old = sqlite_utils.Database(path, execute_plugins=False)
    for table in QUOTA_TABLES:
        old.conn.execute(f"DROP TABLE {table}")
    old.conn.execute("DELETE FROM _sqlite_migrations WHERE name >= '0005'")
    old.conn.commit()
    old.close()
    with Store(tmp_path) as store:
        store.record(events("new"))
        assert store.writer.state.positions.buffered_count == 2
    made = sqlite_utils.Database(path, execute_plugins=False)
    assert all(made.table(name).strict for name in QUOTA_TABLES)
    made.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE _sqlite_migrations SET name = '0002_blo\"k' WHERE name LIKE '0002%'",
        "DELETE FROM _sqlite_migrations WHERE name LIKE '0001%'",
        "UPDATE _sqlite_migrations SET migration_set = 'meter_agfnt'",
    ],
)
def test_a_schema_that_no_program_leaves_behind_is_damage_and_not_a_newer_one(
    tmp_path: Path, change: str
) -> None:
    path = tmp_path / "agent.db"
    connection = open_writer(path)
    connection.execute(change)
    connection.close()
    with pytest.raises(InvalidStateError, match="schema says") as caught:
        open_writer(path)
    assert caught.value.reason == "DATABASE_DAMAGED"
