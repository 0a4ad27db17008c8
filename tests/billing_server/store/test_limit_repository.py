"""Accounts, thresholds and balances on both databases."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from billing_server.domain.limit.shares import FreeBucket, RateShare
from billing_server.domain.limit.thresholds import ThresholdDirection
from billing_server.domain.ports.limits import BalanceEntry, ThresholdEvent
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.store.limit_rows import DAY, NOW, account


def test_an_account_is_written_once_and_changed_under_its_lock(store: SqlStore) -> None:
    first = account(settled=5)
    with store.write() as unit:
        unit.limits.add_account(first)
        unit.limits.add_account(account(settled=9))
        assert unit.limits.missing_accounts([DAY, DAY._replace(window_id="x")]) == {
            DAY._replace(window_id="x")
        }
        assert unit.limits.lock_accounts([DAY, DAY, DAY._replace(window_id="x")]) == {DAY: first}
        changed = replace(
            first,
            settled=-1,
            unreserved=2,
            overrun=3,
            estimate_error=4,
            released=5,
            maximum_granted=6,
            threshold=Decimal("0.8"),
            free_bucket=FreeBucket(7, RateShare(8, 9), NOW),
        )
        unit.limits.put_accounts([changed])
    with store.read() as unit:
        assert unit.limits.accounts("acme") == (changed,)
        assert unit.limits.accounts("other") == ()


def test_rolling_use_adds_up_in_buckets_and_is_forgotten(store: SqlStore) -> None:
    with store.write() as unit:
        for minutes, amount in ((0, 1), (0, 2), (5, 4)):
            bucket = NOW + timedelta(minutes=minutes)
            unit.limits.add_rolling(DAY, bucket=bucket, amount=amount)
        assert unit.limits.rolling_total(DAY, since=NOW) == 7
        assert unit.limits.rolling_total(DAY, since=NOW + timedelta(minutes=1)) == 4
        unit.limits.purge_rolling(before=NOW + timedelta(minutes=1))
        assert unit.limits.rolling_total(DAY, since=NOW) == 4


def test_use_of_allowances_adds_up_by_disk_and_moves_with_it(store: SqlStore) -> None:
    other = DAY._replace(window_id="x")
    with store.write() as unit:
        unit.limits.add_allowance_use(DAY, amounts={1: 5, 2: 7, 3: 0})
        unit.limits.add_allowance_use(DAY, amounts={1: 10})
        unit.limits.add_allowance_use(other, amounts={})
        assert unit.limits.allowance_uses([DAY, other]) == {DAY: {1: 15, 2: 7}}
        unit.limits.move_allowance_use(1, to_ref=9)
    with store.read() as unit:
        assert unit.limits.allowance_uses([DAY]) == {DAY: {9: 15, 2: 7}}


def test_threshold_events_are_numbered_in_the_order_they_came(store: SqlStore) -> None:
    rising = ThresholdEvent(
        key=DAY,
        share=Decimal("0.8"),
        direction=ThresholdDirection.RISING,
        used=8,
        maximum=10,
        event_time=NOW,
    )
    other = replace(rising, key=DAY._replace(customer_id="bela"))
    with store.write() as unit:
        unit.limits.add_threshold_events([])
        unit.limits.add_threshold_events([rising, other])
        both = unit.limits.threshold_events(customer_id=None, after=0, limit=9)
        assert [replace(event, event_no=0) for event in both] == [rising, other]
        (of_bela,) = unit.limits.threshold_events(customer_id="bela", after=0, limit=9)
        assert of_bela.event_no == both[1].event_no
        assert unit.limits.threshold_events(customer_id=None, after=of_bela.event_no, limit=9) == ()


def test_a_balance_is_the_sum_of_entries_that_are_entered_once(store: SqlStore) -> None:
    entry = BalanceEntry(entry_id="e1", customer_id="acme", amount=5_000_000, create_time=NOW)
    with store.write() as unit:
        assert unit.limits.balance("acme") is None
        assert unit.limits.add_balance(entry)
        assert not unit.limits.add_balance(replace(entry, amount=9))
        assert unit.limits.add_balance(replace(entry, entry_id="e2", amount=-2_000_000))
        assert unit.limits.balance("acme") == 3_000_000
        assert unit.limits.balance_entry("e1") == entry
        assert unit.limits.balance_entry("e3") is None
        assert unit.limits.rated_total("acme") == 0
