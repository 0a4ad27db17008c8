"""Demand by limit, and the word that a lease is half used up."""

from meter_agent.core.quota.decide import QuotaDecision, Shortage, Take, Verdict
from meter_agent.core.quota.lease import Lease
from meter_agent.quota.demands import SEEN_US, Demands


def lease(free: int) -> Lease:
    return Lease(lease_id=b"a" * 16, customer_id="acme", limit_key="daily", granted=free)


def granted(amount: int) -> QuotaDecision:
    return QuotaDecision(
        verdict=Verdict.GRANTED,
        takes=(Take("daily", b"a", amount - 1), Take("daily", b"b", 1)),
    )


def test_what_is_granted_and_what_is_asked_for_is_demand() -> None:
    demands = Demands()
    demands.decided("acme", granted(10), now_us=0)
    demands.decided(
        "acme",
        QuotaDecision(verdict=Verdict.ASK, shortages=(Shortage("daily", 30, 30, 5),)),
        now_us=0,
    )
    assert demands.of("acme", "daily").largest_call == 30
    assert demands.of("acme", "other").largest_call == 0
    assert list(demands.recent(now_us=SEEN_US)) == [("acme", "daily")]
    assert demands.recent(now_us=SEEN_US + 1) == {}
    assert demands.of("acme", "daily").largest_call == 0


def test_a_lease_that_is_half_used_up_is_told_once() -> None:
    told = []
    demands = Demands(on_low=lambda: told.append(1))
    demands.add("acme", "daily", amount=1_000, now_us=0)
    enough = demands.of("acme", "daily").per_second(0) * 15 // 2
    demands.look((lease(enough),), now_us=0)
    assert told == []
    demands.look((lease(enough - 1),), now_us=0)
    demands.look((lease(enough - 1),), now_us=0)
    assert told == [1]
    demands.look((lease(enough),), now_us=0)
    demands.look((lease(enough - 1),), now_us=0)
    assert told == [1, 1]


def test_a_sync_makes_it_worth_telling_again() -> None:
    told = []
    demands = Demands(on_low=lambda: told.append(1))
    demands.add("acme", "daily", amount=1_000, now_us=0)
    demands.look((lease(0),), now_us=0)
    demands.recent(now_us=0)
    demands.look((lease(0),), now_us=0)
    assert told == [1, 1]
