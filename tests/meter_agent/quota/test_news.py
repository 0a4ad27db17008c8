"""What the server says is taken in; what it is asked for is on disk before it is sent."""

from pathlib import Path

from google.protobuf.duration_pb2 import Duration

from meter_agent.core.quota.decide import OFFLINE_LEASE_ID, Reach, Shortage
from meter_agent.quota import news, reserving
from meter_agent.quota.news import Adoption, Heard, Want
from metering.api.v1 import lease_pb2
from tests.meter_agent.quota.world import LEASE_ID, QuotaWorld, asked, limit

FRESH = [b"b" * 16]


def counters(granted: int, lease_id: bytes = LEASE_ID, **fields: object) -> lease_pb2.LeaseCounters:
    return lease_pb2.LeaseCounters(
        lease_id=lease_id,
        customer_id="acme",
        limit_key="daily",
        window_id="w1",
        granted=granted,
        **fields,  # type: ignore[arg-type]
    )


def adopt(
    world: QuotaWorld, *leases: lease_pb2.LeaseCounters, adoption: Adoption = Adoption.ANY
) -> bool:
    heard = Heard(world.clock.now_us(), 0)
    return world.run(
        lambda: news.adopt(leases, (), heard=heard, adoption=adoption, counter=world.counter)
    )


def test_a_grant_raises_a_lease_and_confirms_it(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.lease(100, usable_until_us=0)
        assert not adopt(world, counters(250, remaining_duration=Duration(seconds=60)))
        lease = world.the_lease()
        assert (lease.granted, lease.free) == (250, 250)
        assert lease.usable_until_us == world.clock.now_us() + 60_000_000


def test_only_a_sync_or_a_session_brings_a_lease_that_is_not_on_record(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        adopt(world, counters(50), adoption=Adoption.KNOWN_ONLY)
        assert world.book.all_leases() == []
        adopt(world, counters(50, settled=20))
        assert (world.the_lease().consumed, world.the_lease().free) == (20, 30)


def test_a_recall_is_answered_with_what_is_free(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(500)
        world.run(lambda: reserving.reserve(asked(), counter=world.counter, reach=Reach.ANSWERED))
        assert adopt(world, counters(500, recall_no=1))
        lease = world.the_lease()
        assert (lease.returned, lease.held, lease.free, lease.recall_no) == (400, 100, 0, 1)
        assert not adopt(world, counters(600, recall_no=1))
        assert world.the_lease().free == 100


def test_terms_are_taken_in_with_the_leases(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        terms = lease_pb2.CustomerTerms(customer_id="acme", revision=3, limits=[limit()])
        world.run(
            lambda: news.adopt(
                (),
                [terms],
                heard=Heard(0, 0),
                adoption=Adoption.ANY,
                counter=world.counter,
            )
        )
        assert world.book.is_known("acme")


def test_a_hold_that_was_settled_elsewhere_is_dropped_once(tmp_path: Path) -> None:
    key = lease_pb2.ReservationKey(customer_id="acme", reservation_id="r-1")
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(500)
        world.run(lambda: reserving.reserve(asked(), counter=world.counter, reach=Reach.ANSWERED))
        for _ in range(2):
            dropped = world.run(lambda: news.drop_settled_elsewhere([key], counter=world.counter))
            assert dropped == [key]
            assert (world.the_lease().held, world.the_lease().free) == (0, 500)
        assert (world.book.all_reservations(), world.book.unsettled_count) == ([], 0)


def test_what_calls_lack_is_joined_by_limit() -> None:
    wants = news.wants_of(
        [
            ("acme", Shortage("daily", 100, 100, 70)),
            ("acme", Shortage("daily", 100, 20, 90)),
            ("acme", Shortage("spend", 5, 0, 5)),
            ("other", Shortage("daily", 1, 1, 1)),
        ]
    )
    assert wants == [
        Want("acme", "daily", 170, 10),  # The first takes what is there: 70, and all of 100.
        Want("acme", "spend", 5, 1),
        Want("other", "daily", 1, 1),
    ]


def test_a_new_lease_is_on_record_before_it_is_asked_for(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        [ask] = world.run(
            lambda: news.asks_for(
                [Want("acme", "daily", 70, 50)], fresh_ids=FRESH, counter=world.counter
            )
        )
        assert (ask.granted, ask.granted_min) == (70, 50)
        lease = world.the_lease(lease_id=FRESH[0])
        assert (lease.granted, lease.window_id) == (0, "w1")
        assert not lease.is_usable(world.clock.now_us())
        again = world.run(
            lambda: news.asks_for(
                [Want("acme", "daily", 70, 50)], fresh_ids=[b"c" * 16], counter=world.counter
            )
        )
        assert [item.lease.lease_id for item in again] == FRESH


def test_an_open_lease_of_the_window_is_raised_by_what_calls_lack(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(500)
        world.counter.demands.add("acme", "daily", amount=40, now_us=world.clock.now_us())
        wants = [Want("acme", "daily", 70, 50)]
        [ask] = world.run(lambda: news.asks_for(wants, fresh_ids=FRESH, counter=world.counter))
        assert (ask.lease.lease_id, ask.granted, ask.granted_min) == (LEASE_ID, 570, 550)


def test_a_lease_of_another_window_is_left_alone(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit(window_id="w2"))
        world.lease(500)
        wants = [Want("acme", "daily", 70, 50), Want("acme", "gone", 1, 1)]
        asks = world.run(
            lambda: news.asks_for(wants, fresh_ids=[*FRESH, b"c" * 16], counter=world.counter)
        )
        assert [(item.lease.lease_id, item.granted) for item in asks] == [(FRESH[0], 70)]


def test_what_is_idle_goes_back_and_a_float_stays(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit(remaining=100))
        world.lease(500)
        now_us = world.clock.now_us()
        world.counter.demands.add("acme", "daily", amount=40, now_us=now_us)
        idle = news.idle(world.book.all_leases(), counter=world.counter)
        assert [item.lease_id for item in idle] == [LEASE_ID]
        assert world.run(lambda: news.return_idle(idle, counter=world.counter)) == 1
        demand = world.counter.demands.of("acme", "daily")
        needed = max(demand.outage_float(now_us), demand.per_second(now_us) * 15)
        assert world.the_lease().free == needed
        assert news.idle(world.book.all_leases(), counter=world.counter) == []


def test_a_float_that_the_server_granted_stays_whatever_was_left_when_the_limit_was_told(
    tmp_path: Path,
) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit(remaining=0))
        now_us = world.clock.now_us()
        for _ in range(10):
            world.counter.demands.add("acme", "daily", amount=5, now_us=now_us)
        world.clock.pass_seconds(60)
        demand = world.counter.demands.of("acme", "daily")
        granted = demand.outage_float(world.clock.now_us())
        assert granted > 2 * max(demand.largest_call, demand.per_second(world.clock.now_us()) * 15)
        world.lease(granted)
        assert news.idle(world.book.all_leases(), counter=world.counter) == []


def test_while_much_is_left_the_float_covers_an_outage(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit(max=100_000, remaining=90_000))
        world.lease(50_000)
        now_us = world.clock.now_us()
        world.counter.demands.add("acme", "daily", amount=400, now_us=now_us)
        idle = news.idle(world.book.all_leases(), counter=world.counter)
        world.run(lambda: news.return_idle(idle, counter=world.counter))
        demand = world.counter.demands.of("acme", "daily")
        assert world.the_lease().free == max(
            demand.outage_float(now_us), demand.per_second(now_us) * 15
        )


def test_a_limit_that_is_gone_keeps_nothing(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell()
        world.lease(500)
        idle = news.idle(world.book.all_leases(), counter=world.counter)
        world.run(lambda: news.return_idle(idle, counter=world.counter))
        assert world.the_lease().free == 0


def test_under_another_identity_no_lease_is_left(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.lease(500)
        world.lease(7, lease_id=OFFLINE_LEASE_ID)
        world.run(lambda: news.give_up_all(world.counter))
        lease = world.the_lease()
        assert (lease.is_closed, lease.usable_until_us, lease.returned) == (True, 0, 0)
        assert not world.the_lease(lease_id=OFFLINE_LEASE_ID).is_closed


def test_a_lease_given_up_keeps_what_the_same_commit_has_changed_of_it(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(500)

        def reserve_and_give_up() -> None:
            reserving.reserve(asked(), counter=world.counter, reach=Reach.ANSWERED)
            news.give_up_all(world.counter)

        world.run(reserve_and_give_up)
        assert (world.the_lease().held, world.the_lease().is_closed) == (100, True)
