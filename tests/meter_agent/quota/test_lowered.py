"""What calls leave over of a limit that was lowered goes back until something is granted anew."""

from pathlib import Path

from meter_agent.core.quota.decide import Reach
from meter_agent.quota import ending as ends
from meter_agent.quota import news, reserving
from metering.api.v1 import lease_pb2
from tests.meter_agent.quota.world import LEASE_ID, QuotaWorld, asked, ending, limit


def hear(world: QuotaWorld, *leases: lease_pb2.LeaseCounters, most: int) -> None:
    """Takes in what a sync answers: terms, then leases."""
    terms = lease_pb2.CustomerTerms(customer_id="acme", limits=[limit(max=most)])
    heard = news.Heard(world.clock.now_us(), 0)
    world.run(
        lambda: news.adopt(
            leases, [terms], heard=heard, adoption=news.Adoption.ANY, counter=world.counter
        )
    )


def counters(granted: int, *, recall_no: int = 0) -> lease_pb2.LeaseCounters:
    return lease_pb2.LeaseCounters(
        lease_id=LEASE_ID,
        customer_id="acme",
        limit_key="daily",
        window_id="w1",
        granted=granted,
        recall_no=recall_no,
    )


def with_a_call(directory: Path) -> QuotaWorld:
    """Returns a world with a lease of 500, of which a call holds 100."""
    world = QuotaWorld(directory)
    hear(world, counters(500), most=1_000)
    world.run(lambda: reserving.reserve(asked(), counter=world.counter, reach=Reach.ANSWERED))
    return world


def end_the_call(world: QuotaWorld) -> None:
    """It used 60 of its 100."""
    world.run(lambda: ends.end(ending(), counter=world.counter))


def test_what_a_call_leaves_over_of_a_lowered_limit_goes_back_with_its_settlement(
    tmp_path: Path,
) -> None:
    with with_a_call(tmp_path) as world:
        told: list[None] = []
        world.counter.lowered.on_returned = lambda: told.append(None)
        hear(world, counters(500, recall_no=1), most=10)
        assert (world.the_lease().held, world.the_lease().free) == (100, 0)
        end_the_call(world)
        lease = world.the_lease()
        assert (lease.consumed, lease.held, lease.free, lease.returned) == (60, 0, 0, 440)
        assert len(told) == 1


def test_what_is_granted_anew_may_be_used_on(tmp_path: Path) -> None:
    with with_a_call(tmp_path) as world:
        hear(world, counters(500), most=900)
        hear(world, counters(520), most=900)
        end_the_call(world)
        assert world.the_lease().free == 520 - 60


def test_a_limit_that_is_raised_again_or_never_changed_leaves_leases_alone(tmp_path: Path) -> None:
    with with_a_call(tmp_path) as world:
        hear(world, counters(500), most=900)
        hear(world, counters(500), most=1_000)
        end_the_call(world)
        assert world.the_lease().free == 440
