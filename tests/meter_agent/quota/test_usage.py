"""Usage without a reservation takes what leases have; it is never refused."""

from pathlib import Path

from meter_agent.quota import usage
from tests.meter_agent.quota.world import DAILY, LEASE_ID, QuotaWorld, cap, limit
from tests.meter_agent.support import event


def test_usage_takes_from_its_lease_and_the_rest_is_uncovered(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(100)
        sent = [
            event("a", quantities={"output": "70"}),
            event("b", quantities={"output": "50"}),
            event("c", customer_id="other", quantities={"output": "9"}),
        ]
        world.run(lambda: usage.record(sent, counter=world.counter))
        assert world.the_lease().consumed == 100
        assert world.counter.figures.uncovered == {DAILY: 20}
        found = {item.event_id: item for item in world.events()}
        assert [(item.lease_id, item.amount) for item in found["a"].debits] == [(LEASE_ID, 70)]
        assert [item.amount for item in found["b"].debits] == [30]
        assert list(found["c"].debits) == []
        assert all(not item.debits for item in sent)
        assert world.counter.demands.of("acme", "daily").largest_call == 70


def test_usage_of_a_meter_without_a_limit_is_left_as_it_is(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(limit())
        world.lease(100)
        sent = [event("a", quantities={"images": "70"})]
        world.run(lambda: usage.record(sent, counter=world.counter))
        assert world.the_lease().consumed == 0
        assert world.events() == sent


def test_usage_beyond_a_tiers_border_is_debited_at_its_price(tmp_path: Path) -> None:
    with QuotaWorld(tmp_path) as world:
        world.tell(cap())
        world.lease(1_000_000, "cap")
        sent = [event(name, quantities={"output": "8"}) for name in ("a", "b")]
        world.run(lambda: usage.record(sent, counter=world.counter))
        # 8 x 0.01, and 8 that may all lie beyond the tenth.
        assert [item.debits[0].amount for item in world.events()] == [80_000, 160_000]
