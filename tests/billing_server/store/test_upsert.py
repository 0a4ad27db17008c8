"""Inserts that meet an existing row on purpose, on both databases."""

from sqlalchemy import select

from billing_server.store.tables import setting
from billing_server.store.unit_of_work import SqlStore
from billing_server.store.upsert import conflict_insert
from tests.billing_server.store.catalog_rows import NOW


def test_an_existing_row_is_left_or_changed_as_asked(store: SqlStore) -> None:
    with store.write() as unit:
        insert = conflict_insert(unit.connection, setting)
        unit.connection.execute(insert.values(key="k", value=1, update_time=NOW))
        again = insert.values(key="k", value=2, update_time=NOW)
        unit.connection.execute(again.on_conflict_do_nothing())
        assert unit.connection.execute(select(setting.c.value)).scalar_one() == 1
        unit.connection.execute(
            again.on_conflict_do_update(index_elements=[setting.c.key], set_={"value": 3})
        )
        assert unit.connection.execute(select(setting.c.value)).scalar_one() == 3
