from collections.abc import Iterator

import pytest

from billing_server.store.unit_of_work import SqlStore, SqlUnitOfWork, open_store
from tests.billing_server.store.counting_contract import CountingContract


class TestSqliteCounting(CountingContract):
    @pytest.fixture
    def store_of_contract(self, sqlite_url: str) -> Iterator[SqlStore]:
        store = open_store(sqlite_url)
        yield store
        store.close()

    @pytest.fixture
    def unit(self, store_of_contract: SqlStore) -> Iterator[SqlUnitOfWork]:
        with store_of_contract.write() as unit:
            yield unit
