from sqlalchemy import Column, Integer, text

from billing_server.store.schema import key_ordered_table, metadata, row_table
from billing_server.store.tables import usage_bucket, usage_event
from billing_server.store.unit_of_work import SqlStore


def test_every_table_is_strict_on_sqlite() -> None:
    assert all(table.dialect_options["sqlite"]["strict"] for table in metadata.sorted_tables)


def test_tables_of_events_lie_in_the_order_of_their_keys() -> None:
    for table in (usage_event, usage_bucket):
        assert table.dialect_options["sqlite"]["with_rowid"] is False


def test_both_kinds_of_table_are_strict() -> None:
    for make in (row_table, key_ordered_table):
        table = make(f"tried_{make.__name__}", Column("id", Integer, primary_key=True))
        metadata.remove(table)
        assert table.dialect_options["sqlite"]["strict"] is True


def test_a_strict_table_refuses_a_fraction_where_an_integer_belongs(memory_store: SqlStore) -> None:
    import sqlite3

    import pytest
    from sqlalchemy.exc import IntegrityError

    insert = text(
        "INSERT INTO usage_bucket (minute, customer_id, series_id, value, event_count) "
        "VALUES (1, 'acme', 1, 0.5, 1)"
    )
    with pytest.raises(IntegrityError) as raised, memory_store.write() as unit:
        unit.connection.execute(insert)
    assert isinstance(raised.value.orig, sqlite3.IntegrityError)
