"""Quota by limit key: sums over customers and leases, what was decided beside them."""

from pathlib import Path

from meter_agent.core.quota.decide import OFFLINE_LEASE_ID, Reach
from meter_agent.quota import reserving
from meter_agent.quota.view import BUSIEST_COUNT_MAX, view_of
from metering.api.v1 import lease_pb2
from tests.meter_agent.quota.world import QuotaWorld, asked, limit


def test_leases_are_summed_and_closed_ones_and_own_ones_left_out(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit(decimals=2))
        world.tell(limit(decimals=2), customer_id="other")
        world.lease(500_00, returned=100_00)
        world.lease(50_00, lease_id=b"b" * 16)
        world.lease(70_00, lease_id=b"c" * 16, is_closed=True, usable_until_us=0)
        world.lease(90_00, lease_id=OFFLINE_LEASE_ID)
        for number in range(5):
            made = asked(f"r-{number}")
            world.run(
                lambda made=made: reserving.reserve(
                    made, counter=world.counter, reach=Reach.ANSWERED
                )
            )
        view = view_of(world.counter)
        [found] = view.limits
        assert (found.limit_key, found.customer_count, found.decimals) == ("daily", 2, 2)
        assert (found.granted, found.consumed, found.held) == (450_00, 0, 400_00)
        assert (found.refused_count, found.enforcement, found.when_offline) == (
            1,
            "hard",
            "closed",
        )
        assert (view.lease_count, view.held_count, view.unsettled_count) == (3, 4, 0)
        assert view.refused == {("daily", "LIMIT_REACHED"): 1}
        assert view.decided == {"granted": 4, "denied": 1}


def test_limits_of_one_key_that_count_something_else_stand_apart(tmp_path: Path) -> None:
    money = limit(
        kind=lease_pb2.LIMIT_KIND_MONEY,
        quantity="",
        currency="USD",
        decimals=6,
        enforcement=lease_pb2.ENFORCEMENT_SOFT,
    )
    with QuotaWorld(tmp_path) as world:
        world.tell(limit(decimals=2))
        world.tell(limit(decimals=2, enforcement=lease_pb2.ENFORCEMENT_SHADOW), customer_id="bela")
        world.tell(money, customer_id="carl")
        world.lease(500_00, consumed=100_00)
        world.lease(700_00, lease_id=b"b" * 16, customer_id="bela", consumed=650_00)
        world.lease(5_000_000, lease_id=b"c" * 16, customer_id="carl")
        dollars, tokens = view_of(world.counter).limits
        assert (dollars.limit_key, dollars.unit, dollars.decimals) == ("daily", "USD", 6)
        assert (dollars.granted, dollars.enforcement, dollars.customer_count) == (
            5_000_000,
            "soft",
            1,
        )
        assert (tokens.unit, tokens.granted, tokens.consumed) == ("output", 1_200_00, 750_00)
        assert (tokens.enforcement, tokens.customer_count) == ("hard, shadow", 2)
        # 650 of 700 before 100 of 500.
        assert [share.customer_id for share in tokens.busiest] == ["bela", "acme"]


def test_the_customers_that_are_told_apart_are_few(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        for number in range(BUSIEST_COUNT_MAX + 3):
            world.tell(limit(), customer_id=f"c{number}")
            world.lease(
                100, lease_id=bytes([number]) * 16, customer_id=f"c{number}", consumed=number
            )
        [found] = view_of(world.counter).limits
        assert [share.consumed for share in found.busiest] == [7, 6, 5, 4, 3]


def test_a_limit_that_is_gone_still_tells_what_it_refused(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.run(lambda: reserving.reserve(asked(), counter=world.counter, reach=Reach.ANSWERED))
        world.tell()
        [found] = view_of(world.counter).limits
        assert (found.limit_key, found.enforcement, found.refused_count) == ("daily", "", 1)
        assert found.unit == "output"
