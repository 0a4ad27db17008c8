from collections.abc import Iterator

import pytest
from sqlalchemy import text

from billing_server.domain.subscription.model import Customer
from billing_server.store.unit_of_work import SqlStore, SqlUnitOfWork, open_store
from metering.errors import ConflictError
from tests.billing_server.ingest_world import START
from tests.billing_server.store.counting_contract import CountingContract


@pytest.mark.postgresql
class TestPostgresqlCounting(CountingContract):
    @pytest.fixture
    def store_of_contract(self, postgresql_url: str) -> Iterator[SqlStore]:
        store = open_store(postgresql_url)
        yield store
        store.close()

    @pytest.fixture
    def unit(self, store_of_contract: SqlStore) -> Iterator[SqlUnitOfWork]:
        with store_of_contract.write() as unit:
            yield unit

    def test_a_locked_customer_makes_others_wait(self, store_of_contract: SqlStore) -> None:
        with store_of_contract.write() as unit:
            unit.customers.add(Customer(id="acme"), create_time=START)

        def wait_in_vain() -> None:
            with store_of_contract.write() as other:
                other.connection.execute(text("SET LOCAL lock_timeout = '20ms'"))
                other.usage.lock_customers(["acme"])

        with store_of_contract.write() as unit:
            unit.usage.lock_customers(["acme"])
            with pytest.raises(ConflictError):
                wait_in_vain()

    def test_ingest_shares_the_catalog_and_a_change_takes_it_alone(
        self, store_of_contract: SqlStore
    ) -> None:
        def change() -> None:
            with store_of_contract.write() as other:
                other.connection.execute(text("SET LOCAL lock_timeout = '20ms'"))
                other.catalog.lock()

        with store_of_contract.write() as unit, store_of_contract.write() as also:
            assert unit.usage.share_catalog() == also.usage.share_catalog()
            with pytest.raises(ConflictError):
                change()
