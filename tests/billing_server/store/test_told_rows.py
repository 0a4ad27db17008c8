"""What disks were told, on both databases."""

from billing_server.domain.ports.limits import SettledReservation
from billing_server.store.unit_of_work import SqlStore
from tests.billing_server.store.limit_rows import NOW, lease


def test_reservations_settled_elsewhere_are_kept_until_they_are_dropped(store: SqlStore) -> None:
    both = [SettledReservation("acme", "r1"), SettledReservation("acme", "r2")]
    with store.write() as unit:
        unit.leases.add_settled_elsewhere([], reservations=both)
        unit.leases.add_settled_elsewhere([1, 2], reservations=both)
        unit.leases.add_settled_elsewhere([1], reservations=both)
        assert unit.leases.settled_elsewhere(1, told_in=0, limit=9) == tuple(both)
        unit.leases.drop_settled_elsewhere(1, reservations=both[:1])
        assert unit.leases.settled_elsewhere(1, told_in=0, limit=9) == (both[1],)
        assert unit.leases.settled_elsewhere(2, told_in=0, limit=1) == (both[0],)


def test_what_was_told_in_a_sync_is_told_again_in_it_and_forgotten_after_it(
    store: SqlStore,
) -> None:
    both = [SettledReservation("acme", "r1"), SettledReservation("acme", "r2")]
    with store.write() as unit:
        unit.leases.add_settled_elsewhere([1], reservations=both)
        unit.leases.tell_settled_elsewhere(1, reservations=both[:1], told_in=5)
        assert unit.leases.settled_elsewhere(1, told_in=5, limit=9) == tuple(both)
        assert unit.leases.settled_elsewhere(1, told_in=6, limit=9) == (both[1],)
        unit.leases.forget_told_elsewhere(1, told_before=6)
        assert unit.leases.settled_elsewhere(1, told_in=5, limit=9) == (both[1],)


def test_what_a_disk_may_not_have_heard_of_a_sync_is_told_anew(store: SqlStore) -> None:
    named = [SettledReservation("acme", "r1")]
    with store.write() as unit:
        unit.leases.put([lease(1, told_in=5), lease(2, told_in=4), lease(3, told_in=0)])
        unit.leases.add_settled_elsewhere([1, 2], reservations=named)
        unit.leases.tell_settled_elsewhere(1, reservations=named, told_in=5)
        unit.leases.tell_anew(1, told_in=5)
        told = unit.leases.to_tell(1, told_in=6, expiring_before=NOW)
        assert [each.lease_id for each in told] == [lease(1).lease_id]
        unit.leases.forget_told_elsewhere(1, told_before=6)
        assert unit.leases.settled_elsewhere(1, told_in=6, limit=9) == tuple(named)
