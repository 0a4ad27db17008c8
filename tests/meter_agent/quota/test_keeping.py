"""What falls due by time: expiry, the presumed use, its end, leases that ran out, rows that go."""

from dataclasses import replace
from pathlib import Path

from meter_agent.core.quota.decide import Reach
from meter_agent.core.quota.lease import expired as lease_expired
from meter_agent.core.quota.lease import recalled as lease_recalled
from meter_agent.core.quota.reservation import ReservationState, renewed
from meter_agent.quota import ending as module
from meter_agent.quota import keeping, reserving
from meter_agent.quota.news import give_up_all
from metering.api.v1 import lease_pb2
from metering.api.v1.usage_pb2 import SETTLEMENT_KIND_EXPIRED, UsageEvent
from metering.ids import expiry_event_id
from tests.meter_agent.quota.world import QuotaWorld, asked, cap, ending, limit

MINUTE = 60


def reserve(world: QuotaWorld, **fields: object) -> None:
    made = asked(**fields)
    world.run(lambda: reserving.reserve(made, counter=world.counter, reach=Reach.ANSWERED))


def keep(world: QuotaWorld, *, earliest_kept_seq: int = 1) -> bool:
    due = keeping.due(world.counter, earliest_kept_seq=earliest_kept_seq)
    world.run(lambda: keeping.keep(due, counter=world.counter, earliest_kept_seq=earliest_kept_seq))
    return bool(due)


def test_a_hold_expires_is_presumed_used_and_goes_back_after_t_late(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(500)
        reserve(world)
        assert not keep(world)
        world.clock.pass_seconds(2 * MINUTE)
        assert keep(world)
        [item] = world.book.all_reservations()
        assert (item.state, world.the_lease().held) == (ReservationState.EXPIRED, 100)
        world.clock.pass_seconds(15 * MINUTE)
        assert keep(world)
        assert (world.the_lease().held, world.the_lease().free) == (0, 500)
        assert (world.book.all_reservations(), world.book.unsettled_count) == ([], 1)
        assert world.counter.figures.expired_count == 1
        assert world.events() == []
        assert not keep(world)


def test_a_slot_comes_back_when_its_hold_expires(tmp_path: Path) -> None:
    slots = limit("slots", kind=lease_pb2.LIMIT_KIND_CONCURRENCY, quantity="", max=1)
    with QuotaWorld(tmp_path) as world:
        world.tell(limit(), slots)
        world.lease(500)
        world.lease(1, "slots")
        reserve(world)
        world.clock.pass_seconds(2 * MINUTE)
        keep(world)
        assert (world.the_lease("slots").held, world.the_lease().held) == (0, 100)


def billed(directory: Path, policy: lease_pb2.ExpiryBilling) -> list[UsageEvent]:
    with QuotaWorld(directory) as world:
        world.tell(limit(bill_on_expiry=policy))
        world.lease(500)
        reserve(world, quantities={"output": "100", "input": "7"}, minimum={"output": "10"})
        [item] = world.book.all_reservations()
        used = renewed(
            item, now_us=world.clock.now_us(), ttl_us=item.ttl_us, used_so_far={"output": "40"}
        )
        world.run(lambda: world.book.put_reservation(used))
        world.clock.pass_seconds(2 * MINUTE)
        keep(world)
        world.clock.pass_seconds(15 * MINUTE)
        keep(world)
        assert world.the_lease().held == 0
        return world.events()


def test_nothing_is_billed_on_a_guess_unless_the_limit_says_so(tmp_path: Path) -> None:
    policies = {
        lease_pb2.EXPIRY_BILLING_UNSPECIFIED: [],
        lease_pb2.EXPIRY_BILLING_INPUT: [{"input": "7"}],
        lease_pb2.EXPIRY_BILLING_USED_SO_FAR: [{"output": "40"}],
        lease_pb2.EXPIRY_BILLING_MAX: [{"input": "7", "output": "100"}],
    }
    for policy, expected in policies.items():
        directory = tmp_path / str(policy)
        directory.mkdir()
        events = billed(directory, policy)
        assert [dict(event.quantities) for event in events] == expected
        for event in events:
            assert event.event_id == expiry_event_id("acme", "r-1")
            assert event.settlement.kind == SETTLEMENT_KIND_EXPIRED


def test_what_is_billed_on_a_guess_moves_the_customer_on_in_its_tiers(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(cap(bill_on_expiry=lease_pb2.EXPIRY_BILLING_MAX))
        world.lease(1_000_000, "cap")
        reserve(world, quantities={"output": "10"})
        world.clock.pass_seconds(17 * MINUTE)
        keep(world)
        keep(world)
        [guess] = world.events()
        assert [item.amount for item in guess.debits] == [100_000]
        assert world.book.ahead_of("acme", {"output": 1}) == {"output": 10}


def test_what_was_billed_on_a_guess_is_voided_by_a_late_settlement(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit(bill_on_expiry=lease_pb2.EXPIRY_BILLING_MAX))
        world.lease(500)
        reserve(world)
        world.clock.pass_seconds(17 * MINUTE)
        keep(world)
        keep(world)
        made = ending(output="60")
        world.run(lambda: module.end(made, counter=world.counter))
        guess, settled = world.events()
        assert [item.amount for item in guess.debits] == [100]
        assert settled.settlement.voids_event_id == guess.event_id
        assert world.counter.figures.billed_on_expiry_count == 1


def test_a_lease_that_ran_out_gives_its_rest_back(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(500, usable_until_us=world.clock.now_us() + 10_000_000)
        assert not keep(world)
        world.clock.pass_seconds(10)
        assert keep(world)
        lease = world.the_lease()
        assert (lease.is_closed, lease.returned, lease.free) == (True, 500, 0)
        assert not keep(world)


def test_a_share_that_ran_out_is_closed_once(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit("rpm", kind=lease_pb2.LIMIT_KIND_RATE))
        ends = world.clock.now_us() + 60_000_000
        share = world.lease(60, "rpm", rate_per_minute=60, burst=60, usable_until_us=ends)
        recalled = replace(lease_recalled(share, recall_no=1), lease_id=b"lease-of-acme-02")
        world.run(lambda: world.book.put_leases((recalled,)))
        world.clock.pass_seconds(60)
        assert keep(world)
        closed = [(lease.is_closed, lease.rate_per_minute) for lease in world.book.all_leases()]
        assert closed == [(True, 0), (True, 0)]
        # What was put into its bucket is nothing to give back.
        assert not keep(world)


def test_what_a_call_leaves_in_a_lease_that_was_closed_meanwhile_goes_back(tmp_path: Path) -> None:
    # Its agent was silent or lost, then heard of it, was restarted, and the call ends.
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(140)
        reserve(world)
        closed = lease_expired(world.the_lease())
        world.run(lambda: world.book.put_leases((closed,)))
        world.reopen()
        assert not keep(world)
        world.run(lambda: module.end(ending(output="50"), counter=world.counter))
        assert keep(world)
        lease = world.the_lease()
        assert (lease.returned, lease.consumed, lease.free) == (90, 50, 0)
        assert not keep(world)


def test_a_lease_given_up_is_never_returned_not_after_a_restart_either(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(140)
        world.run(lambda: give_up_all(world.counter))
        world.reopen()
        assert not keep(world)
        assert (world.the_lease().is_closed, world.the_lease().free) == (True, 140)


def test_a_row_goes_once_its_window_is_over_and_its_last_event_is_deleted(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(500, usable_until_us=world.clock.now_us() + 10_000_000)
        reserve(world)
        world.run(lambda: module.end(ending(), counter=world.counter))
        world.clock.pass_seconds(10)
        keep(world)
        assert not keep(world, earliest_kept_seq=2)
        world.tell(limit(window_id="w2"))
        assert not keep(world, earliest_kept_seq=1)
        assert keep(world, earliest_kept_seq=2)
        assert world.book.all_leases() == []


def test_a_share_is_forgotten_once_no_backup_of_the_server_can_have_it_open(
    tmp_path: Path,
) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(
            limit("rpm", kind=lease_pb2.LIMIT_KIND_RATE), limit("ever", window_id="lifetime")
        )
        share = world.lease(60, "rpm", burst=60, is_closed=True)
        kept = world.lease(60, "ever", window_id="lifetime", returned=60, is_closed=True)
        told: set[bytes] = set()
        farewells = keeping.Farewells(lambda: 8)

        def is_due(earliest_kept_seq: int) -> bool:
            found = keeping.due(
                world.counter,
                earliest_kept_seq=earliest_kept_seq,
                is_told=lambda lease: lease.lease_id in told,
                farewells=farewells,
            )
            return found.is_lease_due

        assert not is_due(9)
        told.add(share.lease_id)
        # The event at 8 is the first one that the server counted after it had heard.
        assert not is_due(8)
        assert is_due(9)
        world.run(
            lambda: keeping.keep(
                keeping.Due(), counter=world.counter, earliest_kept_seq=9, farewells=farewells
            )
        )
        assert world.book.all_leases() == [kept]


def test_a_lease_is_not_forgotten_before_the_server_has_heard_how_it_ended(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit(window_id="w2"))
        lease = world.lease(500, returned=500, is_closed=True)
        told = set()
        due = keeping.due(world.counter, earliest_kept_seq=1, is_told=told.__contains__)
        assert not due
        told.add(lease)
        due = keeping.due(world.counter, earliest_kept_seq=1, is_told=told.__contains__)
        assert due.is_lease_due
        for known, left in ((set(), [lease]), (told, [])):
            world.run(
                lambda known=known: keeping.keep(
                    due,
                    counter=world.counter,
                    earliest_kept_seq=1,
                    is_told=known.__contains__,
                )
            )
            assert world.book.all_leases() == left


def test_a_lease_that_runs_out_keeps_what_the_same_commit_has_changed_of_it(tmp_path: Path) -> None:
    # Its hold goes back, another call settles and its time is over, all in one commit.
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(500, usable_until_us=world.clock.now_us() + 60 * 60 * 1_000_000)
        for name in ("r-1", "r-2"):
            reserve(world, reservation_id=name)
        world.clock.pass_seconds(2 * MINUTE)
        keep(world)
        world.clock.pass_seconds(60 * MINUTE)
        due = keeping.due(world.counter, earliest_kept_seq=1)

        def settle_and_keep() -> object:
            settled = module.end(ending("r-1"), counter=world.counter)
            keeping.keep(due, counter=world.counter, earliest_kept_seq=1)
            return settled

        world.run(settle_and_keep)
        lease = world.the_lease()
        assert (lease.consumed, lease.held, lease.returned) == (60, 0, 440)
        assert lease.is_closed
