"""Demand: what the server sizes leases by."""

from meter_agent.core.quota.demand import Demand, demanded

SECOND = 1_000_000


def test_steady_demand_is_told_as_it_is() -> None:
    demand = Demand()
    for second in range(120):
        demand = demanded(demand, amount=100, now_us=second * SECOND)
    # The sum was just raised by a whole second's worth: 100 / s within 7 %.
    assert demand.per_second(119 * SECOND) == 108
    assert demand.per_second(120 * SECOND) == 94


def test_demand_halves_in_five_seconds() -> None:
    demand = demanded(Demand(), amount=1_000_000, now_us=0)
    assert demand.per_second(0) == 138_630  # 1,000,000 × ln 2 / 5 s
    assert demand.per_second(5 * SECOND) == 69_315
    assert demand.per_second(600 * SECOND) == 1


def test_the_outage_float_is_ten_minutes_of_steady_demand() -> None:
    demand = Demand()
    for second in range(3600):
        demand = demanded(demand, amount=10, now_us=second * SECOND)
    assert 5990 <= demand.outage_float(3599 * SECOND) <= 6010


def test_the_largest_call_is_known_at_once_and_forgotten_slowly() -> None:
    demand = demanded(Demand(), amount=500, now_us=0)
    assert demand.largest_call == 500
    for _ in range(100):
        demand = demanded(demand, amount=10, now_us=0)
    assert demand.largest_call == 184  # 500 × 0.99^100, rounded up


def test_a_clock_that_stands_still_or_steps_back_counts_no_time() -> None:
    demand = demanded(Demand(at_us=10 * SECOND), amount=100, now_us=5 * SECOND)
    assert (demand.at_us, demand.fast) == (10 * SECOND, 100.0)
