"""News of leases: after the commit, on every server of the same database."""

import queue
from collections.abc import Iterator

import psycopg
import pytest

from billing_server.domain.ports.news import EVERY_CUSTOMER
from billing_server.store.unit_of_work import SqlStore, open_store

SECONDS_MAX = 20.0


def test_what_is_announced_is_heard_once_after_the_commit(store: SqlStore) -> None:
    heard: queue.Queue[str] = queue.Queue()
    stop = store.news.listen(heard.put)
    with store.write() as unit:
        unit.leases.announce(["acme"])
        unit.leases.announce(["acme", "bela"])
        assert heard.empty()
    assert {heard.get(timeout=SECONDS_MAX) for _ in range(2)} == {"acme", "bela"}
    stop()
    with store.write() as unit:
        unit.leases.announce(["acme"])
    assert heard.empty()


def fail_after_announcing(store: SqlStore) -> None:
    with store.write() as unit:
        unit.leases.announce(["acme"])
        raise ZeroDivisionError


def test_what_was_undone_is_not_announced(store: SqlStore) -> None:
    heard: queue.Queue[str] = queue.Queue()
    store.news.listen(heard.put)
    with pytest.raises(ZeroDivisionError):
        fail_after_announcing(store)
    with store.write() as unit:
        unit.leases.announce(["bela"])
    assert heard.get(timeout=SECONDS_MAX) == "bela"


@pytest.fixture
def other_server(postgresql_url: str) -> Iterator[SqlStore]:
    opened = open_store(postgresql_url)
    yield opened
    opened.close()


@pytest.mark.postgresql
def test_a_server_hears_what_another_one_announces(
    postgresql_url: str, other_server: SqlStore
) -> None:
    mine = open_store(postgresql_url)
    heard: queue.Queue[str] = queue.Queue()
    mine.news.listen(heard.put)
    with other_server.write() as unit:
        unit.leases.announce(["acme", EVERY_CUSTOMER])
    assert {heard.get(timeout=SECONDS_MAX) for _ in range(2)} == {"acme", EVERY_CUSTOMER}
    mine.close()


@pytest.mark.postgresql
def test_after_a_lost_connection_everyone_is_told_to_look(postgresql_url: str) -> None:
    mine = open_store(postgresql_url)
    heard: queue.Queue[str] = queue.Queue()
    mine.news.listen(heard.put)
    with psycopg.connect(postgresql_url, autocommit=True) as operator:
        operator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        )
    assert heard.get(timeout=SECONDS_MAX) == EVERY_CUSTOMER
    mine.close()
