"""What keeps the rows of leases few, on both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest

from billing_server.domain.limit.lease import LeaseState
from billing_server.domain.ports.limits import RepeatedDebit
from billing_server.store.unit_of_work import SqlStore, open_store
from tests.billing_server.store.limit_rows import NOW, account, lease


def test_a_repeated_debit_is_fresh_once_and_is_kept_as_long_as_its_lease(store: SqlStore) -> None:
    closed = lease(1, state=LeaseState.CLOSED)
    first, second = (RepeatedDebit(closed.lease_id, "e1", 7, 50, ordinal) for ordinal in (0, 1))
    with store.write() as unit:
        unit.limits.add_account(account(end=NOW))
        unit.leases.put([closed])
        assert unit.leases.add_repeated_debits([]) == frozenset()
        assert unit.leases.add_repeated_debits([first]) == {first}
        assert unit.leases.add_repeated_debits([first, second]) == {second}
    with store.write() as unit:
        assert unit.leases.purge(ended_before=NOW + timedelta(days=99), limit=9) == 1
        assert unit.leases.add_repeated_debits([first]) == {first}


def test_closed_leases_of_windows_that_never_end_are_forgotten_by_their_last_report(
    store: SqlStore,
) -> None:
    closed = {"state": LeaseState.CLOSED, "report_time": NOW}
    with store.write() as unit:
        unit.limits.add_account(account())
        unit.leases.put(
            [
                lease(1, **closed, granted=9, settled=9),
                lease(2, **closed, granted=9, expire_time=NOW),
                # A person released it: the published bound tells of it.
                lease(3, **closed, granted=9),
                lease(4, granted=9),
            ]
        )
        assert unit.leases.purge(ended_before=NOW, limit=9) == 0
        assert unit.leases.purge(ended_before=NOW + timedelta(seconds=1), limit=9) == 2
        assert set(unit.leases.by_id([bytes([n]) * 16 for n in range(1, 5)])) == {
            b"\3" * 16,
            b"\4" * 16,
        }


@pytest.mark.postgresql
def test_telling_a_lease_keeps_what_another_server_does_to_it_meanwhile(
    postgresql_url: str,
) -> None:
    mine, other = open_store(postgresql_url), open_store(postgresql_url)
    with mine.write() as unit:
        unit.leases.put([lease(number, granted=50, told_in=None) for number in (1, 2)])
    with mine.write() as unit:
        counted, recalled = unit.leases.to_tell(1, told_in=7, expiring_before=NOW)
        with other.write() as elsewhere:
            elsewhere.leases.put([replace(counted, settled=20), replace(recalled, recall_no=1)])
        unit.leases.tell([replace(each, told_in=7) for each in (counted, recalled)])
    with mine.read() as unit:
        found = unit.leases.by_id([counted.lease_id, recalled.lease_id])
    assert found == {
        counted.lease_id: replace(counted, settled=20, told_in=7),
        # What was told of it was told before the recall.
        recalled.lease_id: replace(recalled, recall_no=1, told_in=None),
    }
    mine.close()
    other.close()
