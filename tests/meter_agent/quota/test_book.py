"""The book keeps what is durable and forgets what is not."""

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from meter_agent.core.quota.decide import Reach
from meter_agent.quota import ending as ending_module
from meter_agent.quota import reserving
from meter_agent.quota.answers import Granted
from metering.api.v1 import lease_pb2
from metering.errors import ValidationError
from tests.meter_agent.quota.world import LEASE_ID, QuotaWorld, asked, cap, ending, limit


def reserve(world: QuotaWorld, reservation_id: str = "r-1") -> None:
    answer = world.run(
        lambda: reserving.reserve(
            asked(reservation_id), counter=world.counter, reach=Reach.ANSWERED
        )
    )
    assert isinstance(answer, Granted)


def test_a_restart_finds_leases_holds_and_terms(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(500)
        reserve(world)
        before = world.the_lease()
        assert (before.held, before.free) == (100, 400)
        world.reopen()
        after = world.the_lease()
        assert (after.granted, after.held, after.free) == (500, 100, 400)
        assert not after.is_usable(world.clock.now_us())
        [found] = world.book.all_reservations()
        assert (found.reservation_id, found.granted) == ("r-1", {"output": Decimal(100)})
        assert world.book.is_known("acme")
        assert not world.book.is_known("other")


def test_the_remaining_time_goes_on_in_the_same_boot_and_begins_anew_in_another(
    tmp_path: Path,
) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(500)
        reserve(world)
        [before] = world.book.all_reservations()
        world.clock.pass_seconds(30)
        world.reopen()
        assert world.book.all_reservations() == [before]
        world.clock.boot_id, world.clock.time_us = "boot-2", 5_000_000
        world.reopen()
        [anew] = world.book.all_reservations()
        assert anew.expires_at_us == 125_000_000


def test_a_change_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    def refuse() -> None:
        raise ValidationError(reason="NO", message="no")

    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        with pytest.raises(ValidationError):
            world.run(refuse)
        assert world.book.all_leases() == []


def test_a_commit_that_fails_takes_back_what_was_changed(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(500)
        connection = sqlite3.connect(world.store.path)
        connection.execute(
            "CREATE TRIGGER no_reservation BEFORE INSERT ON reservation "
            "BEGIN SELECT RAISE(ABORT, 'told to fail'); END"
        )
        connection.commit()
        with pytest.raises(Exception, match="told to fail"):
            reserve(world)
        assert (world.the_lease().held, world.book.all_reservations()) == (0, [])
        connection.execute("DROP TRIGGER no_reservation")
        connection.commit()
        connection.close()
        reserve(world)
        lease = world.the_lease()
        assert (lease.held, lease.is_usable(world.clock.now_us())) == (100, True)


def test_an_ended_reservation_is_found_on_disk_and_pruned_later(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(500)
        reserve(world)
        world.run(lambda: ending_module.end(ending(), counter=world.counter))
        assert world.book.held_reservation("r-1") is None
        found = world.run(lambda: world.book.reservation("r-1"))
        assert found is not None
        assert found.ending is not None
        later = world.clock.wall_us() + 1
        assert (
            world.run(
                lambda: world.book.prune(
                    ended_before_us=later, unsettled_before_us=later, row_count_max=10
                )
            )
            == 1
        )
        assert world.run(lambda: world.book.reservation("r-1")) is None


def test_a_lease_remembers_the_last_position_that_may_name_it(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        lease = world.lease(500)
        assert world.book.last_seq(lease) == 0
        reserve(world)
        assert world.book.last_seq(lease) == 0
        world.run(lambda: ending_module.end(ending(), counter=world.counter))
        assert world.book.last_seq(lease) == 1
        world.reopen()
        assert world.book.last_seq(lease) == 1


def test_a_forgotten_lease_is_gone_from_disk(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        lease = world.lease(500)
        world.run(lambda: world.book.forget_lease(lease))
        assert (world.book.all_leases(), world.book.leases_of("acme")) == ([], ())
        world.reopen()
        assert world.book.all_leases() == []


def test_money_limits_know_how_far_ahead_a_customer_is(tmp_path: Path) -> None:
    price = lease_pb2.PriceBound(
        meter_key="output",
        quantity="output",
        steps=[lease_pb2.PriceStep(from_quantity="0", unit_price="0.01")],
    )
    spend = limit("spend", kind=lease_pb2.LIMIT_KIND_MONEY, quantity="", decimals=6, prices=[price])
    names = {"output": 1}
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        assert world.book.ahead_of("acme", names) is None
        world.tell(spend)
        world.lease(10_000_000, "spend")
        assert world.book.ahead_of("acme", names) == {"output": Decimal(0)}
        reserve(world)
        assert world.book.ahead_of("acme", names) == {"output": Decimal(100)}
        assert world.the_lease("spend").held == 1_000_000
        world.run(lambda: ending_module.end(ending(), counter=world.counter))
        assert world.book.ahead_of("acme", names) == {"output": Decimal(60)}
        assert world.the_lease("spend").consumed == 600_000
        world.reopen()
        assert world.book.ahead_of("acme", names) == {"output": Decimal(10) ** 18}


def test_calls_decided_in_one_commit_look_past_each_other(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(cap())
        world.lease(1_000_000, "cap")

        def both() -> None:
            for name in ("r-1", "r-2"):
                made = asked(name, quantities={"output": "10"})
                reserving.reserve(made, counter=world.counter, reach=Reach.ANSWERED)

        world.run(both)
        assert world.the_lease("cap").held == 10 * 10_000 + 10 * 20_000
        assert world.book.ahead_of("acme", {"output": 1}) == {"output": 20}


def test_the_id_of_the_lease_is_as_it_was_put(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.lease(5)
        world.reopen()
        assert [lease.lease_id for lease in world.book.all_leases()] == [LEASE_ID]
