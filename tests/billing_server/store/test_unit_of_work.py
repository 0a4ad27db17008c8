"""Everything in a unit of work happens, or nothing. On both databases."""

import threading

import pytest
from sqlalchemy.exc import DBAPIError

from billing_server.domain.subscription.model import Customer
from billing_server.store import unit_of_work as module
from billing_server.store.unit_of_work import SqlStore
from metering.errors import ConflictError
from tests.billing_server.ingest_world import START


def add_customer(store: SqlStore, customer_id: str) -> None:
    with store.write() as unit:
        unit.customers.add(Customer(id=customer_id), create_time=START)


def is_there(store: SqlStore, customer_id: str) -> bool:
    with store.read() as unit:
        return unit.customers.get(customer_id) is not None


def test_what_is_written_is_there_afterwards(store: SqlStore) -> None:
    add_customer(store, "acme")
    assert is_there(store, "acme")


def test_an_error_undoes_the_whole_unit(store: SqlStore) -> None:
    def fail() -> None:
        with store.write() as unit:
            unit.customers.add(Customer(id="acme"), create_time=START)
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert not is_there(store, "acme")


def test_a_savepoint_is_undone_alone(store: SqlStore) -> None:
    def fail_inside(unit: module.SqlUnitOfWork) -> None:
        with unit.usage.savepoint():
            unit.customers.add(Customer(id="inner"), create_time=START)
            raise RuntimeError("inside")

    with store.write() as unit:
        unit.customers.add(Customer(id="outer"), create_time=START)
        with pytest.raises(RuntimeError, match="inside"):
            fail_inside(unit)
    assert is_there(store, "outer")
    assert not is_there(store, "inner")


def test_a_reader_sees_nothing_of_a_unit_that_is_not_over(store: SqlStore) -> None:
    with store.write() as unit:
        unit.customers.add(Customer(id="acme"), create_time=START)
        assert not is_there(store, "acme")


def test_a_reader_sees_one_state_from_its_first_look_to_its_end(store: SqlStore) -> None:
    add_customer(store, "acme")
    with store.read() as unit:
        assert unit.customers.get("acme") is not None
        add_customer(store, "later")
        assert unit.customers.get("later") is None
    assert is_there(store, "later")


def test_a_reader_cannot_write(store: SqlStore) -> None:
    with store.read() as unit, pytest.raises(DBAPIError, match=r"read-?only"):
        unit.customers.add(Customer(id="acme"), create_time=START)
    add_customer(store, "acme")  # The connection that it used can, when a writer has it.


def test_in_memory_a_read_inside_a_write_shares_it(memory_store: SqlStore) -> None:
    with memory_store.write() as unit:
        unit.customers.add(Customer(id="acme"), create_time=START)
        assert is_there(memory_store, "acme")
    assert is_there(memory_store, "acme")


def test_a_write_inside_a_write_of_the_same_thread_is_a_bug(memory_store: SqlStore) -> None:
    with memory_store.write(), pytest.raises(RuntimeError, match="inside another"):
        add_customer(memory_store, "acme")


def test_writers_of_one_process_queue_and_all_get_through(store: SqlStore) -> None:
    threads = [
        threading.Thread(target=add_customer, args=(store, f"customer-{number}"))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert all(is_there(store, f"customer-{number}") for number in range(8))


def test_a_writer_that_waits_too_long_is_told_that_the_database_is_busy(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SQLITE_BUSY_TIMEOUT_MS", 20)
    store = module.open_store(sqlite_url)
    errors: list[Exception] = []

    def wait_in_vain() -> None:
        try:
            add_customer(store, "acme")
        except ConflictError as error:
            errors.append(error)

    with store.write():
        thread = threading.Thread(target=wait_in_vain)
        thread.start()
        thread.join(timeout=30)
    store.close()
    assert [error.reason for error in errors if isinstance(error, ConflictError)] == [
        "DATABASE_BUSY"
    ]
