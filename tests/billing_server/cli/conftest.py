"""A server in memory with one customer, and the commands that talk to it."""

import pytest

from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.cli.runner import Commands
from tests.billing_server.world import CATALOG, Api, apply, make_context


@pytest.fixture
def api(memory_store: SqlStore) -> Api:
    return Api(make_context(memory_store))


@pytest.fixture
def commands(api: Api, monkeypatch: pytest.MonkeyPatch) -> Commands:
    apply(api.context, CATALOG)
    return Commands(api, monkeypatch)
