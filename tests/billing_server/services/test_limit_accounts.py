"""Accounts of windows: opened once, in the order of locks; what counts of them."""

from datetime import timedelta
from decimal import Decimal

import pytest

from billing_server.domain.catalog.limit import Limit, LimitSubject
from billing_server.domain.limit.in_force import LIMITED_UNITS_MAX, LimitInForce
from billing_server.domain.ports.limits import BalanceEntry
from billing_server.services.limit_accounts import (
    bounded,
    maximum_of,
    micros,
    open_missing_accounts,
    settled_in,
    window_at,
)
from billing_server.services.limit_book import LimitBook
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.ingest_world import NOON, event
from tests.billing_server.limit_world import LimitWorld, rolling, units


def limit_of(world: LimitWorld, key: str) -> LimitInForce:
    with world.store.write() as unit:
        sources = LimitBook().sources(unit, catalog_revision=1, customer_id="acme", revision=1)
    assert sources is not None
    found = sources.at(NOON).get(key)
    assert found is not None
    return found


def test_an_account_is_opened_once_and_found_again(store: SqlStore) -> None:
    world = LimitWorld(store)
    world.agent().push(event("e1"))
    world.limit(units("daily", 1_000))
    window = window_at(limit_of(world, "daily"), at=NOON)
    for _ in range(2):
        with store.write() as unit:
            open_missing_accounts(unit, windows=[window], now=NOON)
    assert world.account("daily").key == window.key
    assert world.account("daily").settled == 100


def test_a_rolling_window_counts_back_its_length_and_one_bucket(store: SqlStore) -> None:
    world = LimitWorld(store, rolling("hour", 1_000, hours=1))
    world.agent().push(event("e1"))
    limit, account = limit_of(world, "hour"), world.account("hour")
    with store.read() as unit:
        counted = [
            settled_in(unit, limit=limit, account=account, now=NOON + timedelta(minutes=minutes))
            for minutes in (0, 59, 60, 61)
        ]
    assert counted == [100, 100, 100, 0]


def test_the_maximum_of_a_balance_is_the_money_there_is(store: SqlStore) -> None:
    world = LimitWorld(store, Limit(key="prepaid", subject=LimitSubject.BALANCE))
    limit = limit_of(world, "prepaid")
    with store.write() as unit:
        assert maximum_of(unit, limit=limit) == 0
        for number, amount in enumerate((5_000_000, -7_000_000, 3_000_000)):
            unit.limits.add_balance(
                BalanceEntry(
                    entry_id=f"e{number}", customer_id="acme", amount=amount, create_time=NOON
                )
            )
            assert maximum_of(unit, limit=limit) == (5_000_000, 0, 1_000_000)[number]


@pytest.mark.parametrize(
    ("amount", "expected"), [("1.0000009", 1_000_000), ("-0.0000001", -1), ("0", 0)]
)
def test_micro_units_are_cut_down_so_that_differences_add_up(amount: str, expected: int) -> None:
    assert micros(Decimal(amount)) == expected


def test_sums_stop_where_the_store_ends() -> None:
    assert bounded(LIMITED_UNITS_MAX + 1) == LIMITED_UNITS_MAX
    assert bounded(-(10**30)) == -LIMITED_UNITS_MAX
